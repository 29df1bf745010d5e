"""What outbox and sink tests share: a real state store with incidents' messages waiting in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from alerts.incidents import decide, incident_from_row
from alerts.message import RenderContext
from alerts.model import Action, Break
from alerts.outbox import record_action
from alerts.routing import Routing
from tests.alerts.stories import AS_OF, NEWEST, ROUTING
from warehouse.state import StateStore


def open_store(folder: Path) -> StateStore:
    store = StateStore(f"sqlite:///{folder / 'state.sqlite'}")
    store.create()
    return store


def run_day(
    store: StateStore,
    breaks: list[Break],
    *,
    as_of: date = AS_OF,
    through: date = NEWEST,
    node: str | None = None,
    digest_below_usd_per_day: Decimal | None = None,
    routing: Routing = ROUTING,
) -> list[Action]:
    """One run's decisions, recorded; of `node` only where one is given."""
    now = datetime.now(UTC)
    actions = decide(
        breaks,
        [incident_from_row(row) for row in store.list_incidents() if node in (None, row["node"])],
        now=now,
        as_of=as_of,
        routing=routing,
        data_through=through,
    )
    for action in actions:
        context = RenderContext(as_of=as_of)
        record_action(store, action, context=context, now=now, digest_below_usd_per_day=digest_below_usd_per_day)
    return actions


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now
