"""`trendbreak savings` and `trendbreak action`: what could be saved, what was done, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from alerts.whatifs import DAYS_PER_MONTH, Answer, DayOfWork, Range, realised_saving
from flows.commands.whatif import Traffic, batch, cache, find_price, money, quantize, route, selfhost, usual_prefix
from flows.errors import FlowError
from flows.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from warehouse.prices import PriceBook
    from warehouse.state import StateStore

KINDS = ("route", "cache", "batch", "trim", "quantize", "selfhost", "waste", "other")
BEFORE_DAYS, AFTER_DAYS = 28, 14
MOST_SHOWN = 15
_LEAST_USD = Decimal(1)  # a month; less is not worth a line
_AVOIDABLE = Range.between(Decimal("0.5"), Decimal(1))
_WASTE = {
    "loop": "stop a task that calls far more often than others",
    "failure": "calls that failed and were billed",
    "retry": "calls asked again though they had not failed",
    "uncached_prefix": "prefixes paid in full though the cache was warm",
    "context": "input far beyond the usual",
    "idle_gpu": "GPU hours that served no call",
}


def find_savings(con: duckdb.DuckDBPyConnection, book: PriceBook, today: date) -> list[Answer]:
    """Every saving worth a dollar a month, by its expected dollars. They overlap: they do not add up."""
    from warehouse.whatif_reads import read_gpu_cost, read_traffic, read_waste

    models: list[tuple[Traffic, bool]] = []
    for row in read_traffic(con):
        if row["provider"] and row["model"]:
            with suppress(FlowError):  # nothing is said of dollars that are not known
                models.append((Traffic.of(row), bool(row["is_self_hosted"])))
    found = [*_from_waste(read_waste(con)), *_from_models([traffic for traffic, is_own in models], book, today)]
    hosted = {traffic.feature: traffic for traffic, is_own in reversed(models) if is_own}
    for feature, traffic in hosted.items():
        gpu_usd = read_gpu_cost(
            con, feature=feature, last_day=traffic.last_day, days=traffic.seen_days, left_out=traffic.left_out
        )
        if gpu_usd:
            found.append(quantize(traffic, gpu_usd, gain=_ASSUMED["gain"], extra_retries=_ASSUMED["retries"]))
    for traffic, is_own in models:
        if not is_own and traffic.cost_usd > 0 and any(traffic.tokens.values()):
            found.append(selfhost(traffic, **{name: _ASSUMED[name] for name in _POD}))
    worth = [answer for answer in found if answer.saving_usd.expected >= _LEAST_USD]
    return sorted(worth, key=lambda answer: (-answer.saving_usd.expected, answer.kind, answer.subject))


def _from_waste(rows: list[dict[str, Any]]) -> Iterator[Answer]:
    for row in rows:
        monthly = row["waste_usd"] * DAYS_PER_MONTH / row["days"]
        if monthly > 0:
            saved = _AVOIDABLE.times(monthly)
            told = f"{_WASTE[row['waste_kind']]}: half to all of it can be avoided"
            yield Answer(f"waste ({row['waste_kind']})", row["feature"], monthly, saved, saved, (), (told,))


def _from_models(models: list[Traffic], book: PriceBook, today: date) -> Iterator[Answer]:
    for traffic in models:
        try:
            band = find_price(book, traffic.provider, traffic.model, today, input_tokens=traffic.input_per_call)
        except FlowError:
            continue  # nothing is said of a price that is not known
        if band.cost_usd(traffic.tokens) is None:
            continue
        size = traffic.input_per_call
        yield cache(traffic, band, cacheable_share=usual_prefix(traffic), hit_rate=_ASSUMED["hit_rate"])
        cheaper = book.price(traffic.provider, traffic.model, today, tier="batch", input_tokens=size)
        if cheaper is not None and cheaper.cost_usd(traffic.tokens) is not None:
            yield batch(traffic, band, cheaper, share=_ASSUMED["batch"])
        others = {
            (other.provider, other.model): price
            for other in models
            if (price := book.price(other.provider, other.model, today, input_tokens=size)) is not None
            and (cost := price.cost_usd(traffic.tokens)) is not None
            and cost < (band.cost_usd(traffic.tokens) or 0) / 2
        }
        if others:
            # The dearest of those that cost less than half: the least step down among models the team knows.
            target, price = max(others.items(), key=lambda other: other[1].cost_usd(traffic.tokens) or 0)
            yield route(
                traffic,
                target,
                price,
                share=_ASSUMED["share"],
                token_ratio=_ASSUMED["token_ratio"],
                relative_success=_ASSUMED["success"],
                classifier_usd_per_call=_ASSUMED["classifier"],
            )


_ASSUMED = {
    name: Range.between(Decimal(low), Decimal(high))
    for name, (low, high) in {
        "hit_rate": ("0.6", "0.9"),
        "batch": ("0.1", "0.5"),
        "share": ("0.3", "0.7"),
        "token_ratio": ("1", "1.5"),
        "success": ("0.9", "1"),
        "classifier": ("0.0001", "0.0001"),
        "gain": ("1.3", "1.8"),
        "retries": ("0", "0.05"),
        "usd_per_hour": ("19", "19"),
        "tokens_per_second": ("2800", "2800"),
        "utilisation": ("0.3", "0.6"),
        "ops_usd_per_month": ("0", "5000"),
    }.items()
}
_POD = ("usd_per_hour", "tokens_per_second", "utilisation", "ops_usd_per_month")


def show_savings(settings: Settings, console: Console, *, now: datetime | None = None) -> None:
    """All of them as a table, with the assumptions of each below."""
    from flows.commands.whatif_commands import open_published
    from flows.run import read_prices
    from warehouse.whatif_reads import TRAFFIC_DAYS

    with open_published(settings) as con:
        answers = find_savings(con, read_prices(settings), (now or datetime.now(UTC)).date())
    if not answers:
        console.print("nothing to save is known: it takes settled days of telemetry with prices", markup=False)
        return
    table = Table("", "what", "where", "saves a month", "from", "to", box=None)
    shown = answers[:MOST_SHOWN]
    for number, answer in enumerate(shown, start=1):
        saved = answer.saving_usd
        table.add_row(
            str(number), answer.kind, answer.subject, money(saved.expected), money(saved.low), money(saved.high)
        )
    console.print(table)
    if len(answers) > len(shown):
        console.print(f"and {len(answers) - len(shown)} smaller ones", markup=False, highlight=False)
    console.print(
        f"They overlap, so they do not add up. Assumed: the last {TRAFFIC_DAYS} settled days (fewer where a feature is "
        "younger) are a usual month, and a month varies as their weeks did;",
        markup=False,
        highlight=False,
    )
    for number, answer in enumerate(shown, start=1):
        console.print(f"{number}. {'; '.join(answer.assumptions)}", markup=False, highlight=False)


# -- what was done -----------------------------------------------------------------------------------------------------


def add_action(
    settings: Settings,
    console: Console,
    *,
    feature: str,
    kind: str,
    done_on: date,
    predicted: Range | None,
    note: str,
    who: str,
    now: datetime,
) -> str:
    """Record what was done; returns its id. The same action again changes nothing. Raises FlowError."""
    from warehouse.features import load_features
    from warehouse.state import StateStore

    known = load_features(settings.features).features
    if feature not in known:
        raise FlowError(f"{feature!r} is no feature of {settings.features.name} — it has {', '.join(known) or 'none'}")
    if kind not in KINDS:
        raise FlowError(f"--kind {kind!r} is unknown — use one of {', '.join(KINDS)}")
    if done_on > now.date():
        raise FlowError(f"--on {done_on} is in the future — record an action once it is done")
    action_id = "act-" + hashlib.sha256(f"{feature}|{kind}|{done_on}|{note}".encode()).hexdigest()[:8]
    state = StateStore(settings.state_url)
    state.create()
    state.save_action(
        {
            "action_id": action_id,
            "feature": feature,
            "kind": kind,
            "done_on": done_on,
            "predicted_low_usd": predicted.low if predicted else None,
            "predicted_usd": predicted.expected if predicted else None,
            "predicted_high_usd": predicted.high if predicted else None,
            "note": note,
            "who": who,
            "recorded_at": now,
        }
    )
    due = done_on + timedelta(days=AFTER_DAYS)
    told = f"{action_id} recorded: {kind} of {feature} on {done_on}; judged from {due} on, in the digest of that week"
    console.print(told, markup=False, soft_wrap=True)
    return action_id


@dataclass(frozen=True)
class ActionResult:
    """An action beside what came of it. Dollars a month. `realised`: None while it cannot be said, and then
    `reason` says why."""

    action: dict[str, Any]
    realised: Range | None
    reason: str | None

    @property
    def predicted(self) -> Range | None:
        if self.action["predicted_usd"] is None:
            return None
        return Range(*(self.action[name] for name in ("predicted_low_usd", "predicted_usd", "predicted_high_usd")))


def judge_actions(con: duckdb.DuckDBPyConnection, state: StateStore) -> list[ActionResult]:
    """Every action, the newest first: predicted and realised saving. `con`: warehouse or snapshot.

    Realised: unit cost of the 28 settled days before the action against that of the 14 after its day, on the work
    done since; the day itself belongs to neither.
    """
    from warehouse.whatif_reads import last_settled_day, read_work

    results = []
    for action in sorted(state.list_actions(), key=lambda row: (row["done_on"], row["action_id"]), reverse=True):
        feature, done_on = action["feature"], action["done_on"]
        first, end = done_on + timedelta(days=1), done_on + timedelta(days=1 + AFTER_DAYS)
        last = last_settled_day(con, feature)
        if last is None or last < end - timedelta(days=1):
            results.append(ActionResult(action, None, f"waits for {end - timedelta(days=1)} to settle"))
            continue
        # Read as one, so that both sides count the same: tasks, or calls where none of these days has a task.
        rows = read_work(con, feature, since=done_on - timedelta(days=BEFORE_DAYS), until=end)
        before, after = (
            [DayOfWork(row["cost_usd"], row["units"]) for row in rows if since <= row["usage_date"] < until]
            for since, until in ((date.min, done_on), (first, end))
        )
        realised = realised_saving(before, after)
        reason = None if realised else "fewer than 7 settled days with telemetry before or after it"
        results.append(ActionResult(action, realised, reason))
    return results


def actions_due(con: duckdb.DuckDBPyConnection, state: StateStore, *, since: date, until: date) -> list[ActionResult]:
    """The actions whose 14 days ended on a day of [since, until): for a digest of that period."""
    return [
        result
        for result in judge_actions(con, state)
        if since <= result.action["done_on"] + timedelta(days=AFTER_DAYS) < until
    ]


def describe_action(result: ActionResult) -> str:
    """One line: predicted and realised side by side."""
    action, predicted, realised = result.action, result.predicted, result.realised
    told = f"{action['kind']} of {action['feature']} on {action['done_on']}"
    told += f" ({action['note']})" if action["note"] else ""
    expected = _span(predicted) if predicted else "no prediction"
    return f"{told}: predicted {expected}, realised {_span(realised) if realised else result.reason}"


def _span(saved: Range) -> str:
    ends = "" if saved.low == saved.high else f" ({money(saved.low)} to {money(saved.high)})"
    return f"{money(saved.expected)} a month{ends}"


def list_actions(settings: Settings, console: Console) -> None:
    """Every action with what was predicted and what came of it."""
    from flows.commands.whatif_commands import open_published
    from warehouse.state import StateStore

    state = StateStore(settings.state_url)
    state.create()
    with open_published(settings) as con:
        results = judge_actions(con, state)
    if not results:
        console.print("no action is recorded — `trendbreak action add` records one", markup=False)
    for result in results:
        console.print(
            f"{result.action['action_id']}  {describe_action(result)}", markup=False, highlight=False, soft_wrap=True
        )
