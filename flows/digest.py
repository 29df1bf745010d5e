"""`trendbreak digest`: the week in one message, once per week and channel, however often it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from flows.errors import FlowError
from flows.run import Home
from flows.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from alerts.message import DigestFacts, DigestFeature, RenderContext
    from alerts.model import Incident
    from alerts.outbox import Delivered
    from warehouse.state import StateStore

PRECISION_DAYS = 90
MOST_SAVINGS = 3


def choose_week(through: date) -> date:
    """The Monday of the newest week whose Sunday is settled."""
    sunday = through - timedelta(days=(through.weekday() + 1) % 7)
    return sunday - timedelta(days=6)


def send_digest(
    settings: Settings, *, now: datetime, week: date | None = None
) -> tuple[DigestFacts, list[Delivered], list[str]]:
    """Make the digest of a week (default: the newest settled one), enqueue it under the week's key, and deliver.

    `week`: any day of it. Returns the facts, what was delivered in this pass, and notices; a week that was told
    already is not told again. Raises FlowError for a week that is not settled.
    """
    from alerts.message import render_digest
    from alerts.outbox import enqueue_message
    from flows.commands.incidents import open_state, present_context
    from flows.steps.delivery import empty_outbox

    state = open_state(settings)
    context = present_context(settings, state)
    facts = gather_facts(settings, state, context, now=now, week=week)
    notices: list[str] = []
    enqueue_message(state, render_digest(facts), now=now)
    delivered = empty_outbox(
        settings, Home(settings.home), state, os.environ, context=context, now=now, notices=notices
    )
    return facts, delivered, notices


def gather_facts(
    settings: Settings, state: StateStore, context: RenderContext, *, now: datetime, week: date | None = None
) -> DigestFacts:
    """From the published snapshot and the state store."""
    from alerts.incidents import incident_from_row
    from alerts.message import DigestFacts, render_card
    from alerts.model import LIVE
    from flows.commands.savings import actions_due, describe_action
    from warehouse.reads import open_snapshot, read_features, read_reported

    with open_snapshot(Home(settings.home).published) as snapshot:
        through = read_reported(snapshot)["data_through"]
        if through is None:
            raise FlowError(
                "no day is settled yet: there is nothing to sum up — `trendbreak status` says how far it is"
            )
        monday = choose_week(through) if week is None else week - timedelta(days=week.weekday())
        sunday = monday + timedelta(days=6)
        if sunday > through:
            raise FlowError(f"the week to {sunday} is not settled: data are settled through {through}")
        rows = read_features(snapshot, through=sunday, days=7, unit_days=7, unit_baseline_days=7)
        savings = _list_savings(settings, snapshot, now.date())
        due = actions_due(snapshot, state, since=monday, until=sunday + timedelta(days=1))
    incidents = [incident_from_row(row) for row in state.list_incidents()]
    told, confirmed, false_alarms = _count_answers(incidents, now)
    return DigestFacts(
        week_start=monday,
        week_end=sunday,
        channel=settings.slack.channel,
        features=tuple(_features(rows, state.list_month_ends(), sunday)),
        going_on=tuple(
            render_card(one, context=context).title
            for one in incidents
            if one.status in LIVE or _was_small_news(one, monday, sunday)
        ),
        savings=savings,
        actions=tuple(describe_action(result) for result in due),
        opened=told,
        confirmed=confirmed,
        false_alarms=false_alarms,
        report_url=settings.report_url or "",
    )


def _was_small_news(incident: Incident, monday: date, sunday: date) -> bool:
    """Whether it began and ended in the week, and was too small to be told on its own."""
    from alerts.incidents import DIGEST_ONLY

    opened = incident.opened_at.astimezone(UTC).date()
    return bool(incident.details.get(DIGEST_ONLY)) and incident.status != "withdrawn" and monday <= opened <= sunday


def _features(
    rows: Iterable[Mapping[str, Any]], month_ends: Iterable[Mapping[str, Any]], sunday: date
) -> Iterable[DigestFeature]:
    from alerts.message import DigestFeature

    month = sunday.replace(day=1)
    newest: dict[str, Mapping[str, Any]] = {}
    for end in sorted(month_ends, key=lambda end: end["as_of"]):
        if end["month"] == month:
            newest[end["feature"]] = end
    for row in rows:
        if row["kind"] == "shared":
            continue
        known = newest.get(row["feature"], {})
        yield DigestFeature(
            feature=row["feature"],
            cost_usd=row["cost_usd"],
            before_usd=row["previous_cost_usd"],
            month_end_usd=known.get("mean_usd"),
            monthly_budget_usd=row["monthly_budget_usd"],
            cost_per_success_usd=row["cost_per_success_usd"],
            cost_per_success_before_usd=row["previous_cost_per_success_usd"],
            estimated_share=row["estimated_share"] or Decimal(0),
        )


def _count_answers(incidents: Iterable[Incident], now: datetime) -> tuple[int, int, int]:
    """(told, confirmed, false alarms) of the breaks of the last 90 days."""
    from alerts.incidents import DIGEST_ONLY
    from alerts.model import CONDITION_KINDS

    told = [
        one
        for one in incidents
        if one.kind not in CONDITION_KINDS
        and not one.details.get(DIGEST_ONLY)
        and (now - one.opened_at).days <= PRECISION_DAYS
    ]
    answers = [str(one.details.get("feedback", "")) for one in told]
    false_alarms = answers.count("false_alarm")
    answered = sum(bool(answer) for answer in answers)
    return len(told), answered - false_alarms, false_alarms


def _list_savings(
    settings: Settings, snapshot: duckdb.DuckDBPyConnection, today: date
) -> tuple[tuple[str, Decimal], ...]:
    """The largest savings found: what, and dollars a month as expected."""
    from flows.commands.savings import find_savings
    from flows.run import read_prices

    found = find_savings(snapshot, read_prices(settings), today)
    return tuple((f"{one.subject}: {one.kind}", one.saving_usd.expected) for one in found[:MOST_SAVINGS])


def show_digest(settings: Settings, console: Console, *, now: datetime, week: date | None, only_show: bool) -> bool:
    """Send the digest, or only show it; False when it could not be delivered."""
    from alerts.message import render_digest
    from alerts.terminal import to_terminal
    from flows.commands.incidents import open_state, present_context

    if only_show:
        state = open_state(settings)
        facts = gather_facts(settings, state, present_context(settings, state), now=now, week=week)
        console.print(to_terminal(render_digest(facts)))
        return True
    facts, delivered, notices = send_digest(settings, now=now, week=week)
    key = render_digest(facts).idempotency_key
    own = next((one for one in delivered if one.key == key), None)
    for notice in notices:
        console.print(Text(notice, style="yellow"))
    if own is None:
        console.print(Text(f"the week to {facts.week_end} was told already"))
        return True
    is_out = own.status in ("sent", "found")
    console.print(Text(f"{own.title} — {own.status} {own.detail}".strip(), style="" if is_out else "red"))
    return is_out
