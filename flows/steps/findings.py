"""What telemetry knows of a break beside its dollars: what was new on its first day, and which tasks to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from alerts.figures import fit, format_percent, format_price, format_short_day, format_signed_percent, format_usd
from alerts.incidents import DIGEST_ONLY
from alerts.model import CONDITION_KINDS
from flows.steps.additions import told_without

if TYPE_CHECKING:
    import duckdb

    from alerts.message import RenderContext
    from alerts.model import Action, Break
    from warehouse.state import StateStore

MOST_TASKS = 3
MOST_NEW = 2  # of a kind: a team that releases by the hour is not told of each
_SLACK = timedelta(days=1)  # an onset is an estimate
_NAME_LIMIT = 60
_KINDS = {"release": "release", "prompt_version": "prompt version", "model": "model"}


def add_findings(
    con: duckdb.DuckDBPyConnection,
    context: RenderContext,
    actions: Iterable[Action],
    notes: list[str],
    *,
    task_url: str | None,
) -> RenderContext:
    """The context with what is new and the worst tasks of each break that is to be told. `con`: the writer's
    warehouse, after a build; task ids leave it only as part of `task_url`. A break of which they cannot be found is
    told without them: the error is logged, and `notes` gets its feature."""
    changes, tasks = dict(context.changes), dict(context.worst_tasks)
    for action in actions:
        found = action.found
        if found is None or (action.kind == "skip" and not action.incident.details.get(DIGEST_ONLY)):
            continue
        with told_without(found.node, "what was new", notes):
            new = (*list_new_prices(con, found), *list_new_values(con, found))
            worst = tuple(link_worst_tasks(con, found, task_url)) if task_url else ()
            changes[action.incident.id], tasks[action.incident.id] = new, worst
    return replace(context, changes=changes, worst_tasks=tasks)


def recall_findings(state: StateStore, context: RenderContext, *, task_url: str | None) -> RenderContext:
    """The same from the newest cards: without the writer's warehouse, for cards that are drawn again."""
    changes: dict[str, tuple[str, ...]] = {}
    tasks: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in state.outbox():
        for card in (row["payload"]["message"], row["payload"].get("card") or {}):
            is_break = card.get("kind") not in CONDITION_KINDS
            if card.get("action") == "open" and card.get("node") and is_break and not card.get("sections"):
                changes[card["incident_id"]] = tuple(card.get("changes", ()))
                tasks[card["incident_id"]] = tuple((text, address) for text, address in card.get("links", ()))
    return replace(context, changes=changes, worst_tasks=tasks if task_url else {})


def list_new_values(con: duckdb.DuckDBPyConnection, found: Break) -> list[str]:
    """`New release 2.4.1, first seen 14 Nov: 90% of the calls since`, of the onset and a day around it; a model
    that the bill names as new is not said twice."""
    from warehouse.reads import read_new_values

    told = {driver.member for driver in found.drivers if driver.is_new and driver.dimension == "model"}
    lines: list[str] = []
    counts: Counter[str] = Counter()
    for row in read_new_values(
        con,
        feature=found.node,
        since=found.onset - _SLACK,
        until=found.onset + _SLACK,
        through=max(found.last_day, found.onset + _SLACK),
    ):
        counts[row["kind"]] += 1
        if counts[row["kind"]] > MOST_NEW or row["value"] in told:
            continue
        share = format_percent(_percent(row["share"]))
        name = f"New {_KINDS[row['kind']]} {fit(row['value'], _NAME_LIMIT)}"
        lines.append(f"{name}, first seen {format_short_day(row['first_seen'])}: {share} of the calls since")
    return lines


def list_new_prices(con: duckdb.DuckDBPyConnection, found: Break) -> list[str]:
    """`New price of gpt-5 output: $12.50 per million tokens (+25%), first seen 14 Nov`, by the bill."""
    from warehouse.reads import read_new_prices

    rows = read_new_prices(con, feature=found.node, onset=found.onset, through=found.last_day)
    lines = []
    for row in rows[:MOST_NEW]:
        tier = "" if row["pricing_tier"] in (None, "standard") else f", {row['pricing_tier']}"
        name = f"{row['model']} {(row['token_type'] or 'tokens').replace('_', ' ')}{tier}"
        change = Decimal(round((row["usd_per_million"] / row["before_usd_per_million"] - 1) * 100))
        price = format_price(row["usd_per_million"])
        lines.append(
            f"New price of {fit(name, _NAME_LIMIT)}: {price} per million tokens ({format_signed_percent(change)}), "
            f"first seen {format_short_day(row['first_seen'])}"
        )
    return lines


def link_worst_tasks(con: duckdb.DuckDBPyConnection, found: Break, task_url: str) -> list[tuple[str, str]]:
    """(what, address) of the worst tasks since the onset."""
    from warehouse.reads import read_worst_tasks

    rows = read_worst_tasks(con, feature=found.node, since=found.onset, through=found.last_day, most=MOST_TASKS)
    places = [(row, address_of(task_url, str(row["task_id"]))) for row in rows]
    return [(_describe(row), address) for row, address in places if address]


def address_of(task_url: str, task_id: str) -> str:
    """Where a task can be seen; empty where no address leads there: a browser reads `..` as the folder above, encoded
    or not."""
    return task_url.replace("{task_id}", quote(task_id, safe="")) if task_id.strip(".") else ""


def _describe(row: Mapping[str, Any]) -> str:
    usd: Decimal | None = row["cost_usd"]
    parts = [] if usd is None else [f"about {format_usd(usd)}"]
    parts.append(_count(row["calls"], "call"))
    if row["retries"]:
        parts.append(f"{row['retries']:,} retried")
    if row["failed_calls"]:
        parts.append(f"{row['failed_calls']:,} failed")
    if row["is_loop"]:
        parts.append("looks like a loop")
    if row["is_failure"]:
        parts.append("no success")
    return f"Task {fit(str(row['task_id']), _NAME_LIMIT)}: {', '.join(parts)}"


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _percent(share: float) -> Decimal:
    return Decimal(max(1, round(share * 100)))
