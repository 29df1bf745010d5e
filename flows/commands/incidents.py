"""`trendbreak incidents` and `trendbreak slack`: what the buttons in Slack do, from the terminal, and the listener."""

from __future__ import annotations

import getpass
import os
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.errors import FlowError
from flows.run import Home
from flows.settings import Settings, app_token, slack_token
from flows.steps.delivery import empty_outbox, make_context, make_sinks
from flows.steps.findings import recall_findings

if TYPE_CHECKING:
    from alerts.message import RenderContext
    from alerts.outbox import Delivered
    from warehouse.state import StateStore

SNOOZE_DAYS = 7
CLOSED = frozenset({"resolved", "absorbed", "withdrawn"})


def open_state(settings: Settings) -> StateStore:
    """The state store, brought to this version."""
    from warehouse.state import StateStore

    state = StateStore(settings.state_url)
    state.create()
    return state


def list_incidents(settings: Settings, console: Console, *, include_closed: bool) -> None:
    """One line per incident, the newest last."""
    from alerts.model import CONDITION_KINDS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("id", "status", "severity", "kind", "node", "since", "excess/day"):
        table.add_column(column, no_wrap=column != "node", overflow="fold")
    for row in open_state(settings).list_incidents():
        if include_closed or row["status"] not in CLOSED:
            excess = "–" if row["kind"] in CONDITION_KINDS else f"${row['excess_usd_per_day']:,.2f}"
            kind = row["kind"].replace("_", " ")
            cells = (row["id"], row["status"], row["severity"], kind, row["node"], row["onset"], excess)
            table.add_row(*(Text(str(cell)) for cell in cells))
    if not table.rows:
        more = "" if include_closed else "; `trendbreak incidents list --all` shows closed ones too"
        console.print(Text(f"no incident is {'known' if include_closed else 'open'}{more}"))
        return
    console.print(table)


def show_incident(settings: Settings, incident_id: str, console: Console) -> None:
    """The card as Slack shows it, and the incident's history. Raises FlowError for an unknown id."""
    from alerts.incidents import incident_from_row
    from alerts.message import render_card
    from alerts.terminal import to_terminal

    state = open_state(settings)
    row = next((row for row in state.list_incidents() if row["id"] == incident_id), None)
    if row is None:
        raise FlowError(f"no incident {incident_id!r} — `trendbreak incidents list --all` shows them")
    console.print(to_terminal(render_card(incident_from_row(row), context=present_context(settings, state))))
    for event in state.list_events(incident_id):
        console.print(Text(f"{event['at']:%Y-%m-%d %H:%M}  {event['kind']}  {event['who']}  {event['text']}"))


def answer(settings: Settings, incident_id: str, word: str, console: Console, *, until: date | None = None) -> None:
    """Record and apply a person's answer, and tell the incident's thread. Raises FlowError for an unknown id."""
    from alerts.feedback import UnknownIncidentError, apply_answers, record_answer

    state = open_state(settings)
    now = datetime.now(UTC)
    if word == "snooze":
        until = until or now.date() + timedelta(days=SNOOZE_DAYS)
    try:
        record_answer(
            state, incident_id, word, key=f"cli-{secrets.token_hex(8)}", who=getpass.getuser(), now=now,
            snoozed_until=until,
        )  # fmt: skip
    except (UnknownIncidentError, ValueError) as error:
        raise FlowError(str(error)) from None
    for message in apply_answers(state, context=present_context(settings, state), now=now):
        console.print(Text(message.summary))
    deliver(settings, state, console)


def send_waiting(settings: Settings) -> tuple[list[Delivered], list[str]]:
    """One pass over the outbox now: what became of each message, and notices."""
    notices: list[str] = []
    return _empty_outbox(settings, open_state(settings), notices), notices


def show_delivery(settings: Settings, console: Console) -> bool:
    """Send what waits and say what became of it; False when something could not go."""
    delivered, notices = send_waiting(settings)
    for one in delivered:
        is_out = one.status in ("sent", "found")
        console.print(Text(f"{one.title} — {one.status} {one.detail}".strip(), style="" if is_out else "red"))
    for notice in notices:
        console.print(Text(notice, style="yellow"))
    if not delivered and not notices:
        console.print(Text("nothing waits"))
    return all(one.status in ("sent", "found") for one in delivered)


def deliver(settings: Settings, state: StateStore, console: Console) -> None:
    """One pass over the outbox; what could not go is said."""
    notices: list[str] = []
    for one in _empty_outbox(settings, state, notices):
        if one.status in {"waiting", "failed"}:
            notices.append(f"{one.title}: {one.detail}")
    for notice in notices:
        console.print(Text(notice, style="yellow"))


def _empty_outbox(settings: Settings, state: StateStore, notices: list[str]) -> list[Delivered]:
    return empty_outbox(
        settings,
        Home(settings.home),
        state,
        os.environ,
        context=present_context(settings, state),
        now=datetime.now(UTC),
        notices=notices,
    )


def present_context(settings: Settings, state: StateStore) -> RenderContext:
    """What a card is rendered with now: today, the features file, and the newest month-end forecasts."""
    from warehouse.features import load_features

    month_ends = state.list_month_ends()
    newest = max((row["as_of"] for row in month_ends), default=None)
    context = make_context(
        load_features(settings.features),
        [row for row in month_ends if row["as_of"] == newest],
        as_of=datetime.now(UTC).date(),
        settled_through=None,
    )
    return recall_findings(state, context, task_url=settings.alerts.task_url)


def post_sample(settings: Settings, console: Console) -> None:
    """Send a sample message to the default channel, so that a person sees that it arrives."""
    from alerts.message import render_test
    from alerts.sinks import DeliveryError, Letter

    now = datetime.now(UTC)
    sample = render_test(settings.slack.channel, sent_at=now)
    notices: list[str] = []
    home = Home(settings.home)
    sink, _ = make_sinks(settings, home, os.environ, notices)
    try:
        receipt = sink.send(sink.prepare(Letter(message=sample, sent_at=now)))
    except DeliveryError as error:
        raise FlowError(str(error)) from None
    console.print(Text(f"sent to {settings.slack.channel} by {sink.name}: {receipt.ts}"))


def listen(settings: Settings, *, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Answer buttons over Socket Mode until `stop` is set. Raises FlowError without both tokens."""
    from alerts.sinks import DeliveryError
    from alerts.socket import Listener

    bot, app = slack_token(settings, os.environ), app_token(settings, os.environ)
    if bot is None or app is None:
        raise FlowError("buttons need slack.token (xoxb-…) and slack.app_token (xapp-…) in trendbreak.yml")
    state = open_state(settings)

    def deliver_now() -> None:
        _empty_outbox(settings, state, [])

    listener = Listener(
        state,
        app_token=app.get_secret_value(),
        bot_token=bot.get_secret_value(),
        clock=lambda: datetime.now(UTC),
        context=lambda: present_context(settings, state),
        deliver=deliver_now,
        base_url=settings.slack.base_url,
    )
    try:
        listener.start()
    except DeliveryError as error:
        raise FlowError(str(error)) from None
    say("listening for buttons")
    try:
        stop.wait()
    finally:
        listener.stop()
