"""Where messages go, what they are rendered with, and the lock under which the outbox is emptied.

The daily run, the button listener and `trendbreak incidents` all send: one of them at a time.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerts.message import BudgetView, RenderContext
from flows.errors import SettingsError
from flows.run import Home
from flows.settings import Settings, app_token, slack_token

if TYPE_CHECKING:
    from alerts.model import Break
    from alerts.outbox import Delivered
    from alerts.sinks import Sink
    from warehouse.features import Features
    from warehouse.state import StateStore


@contextmanager
def delivery_lock(home: Home) -> Iterator[None]:
    """Held while the outbox is emptied; waits for the one who holds it. The kernel frees it with its process."""
    path: Path = home.root / "outbox.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def empty_outbox(
    settings: Settings,
    home: Home,
    state: StateStore,
    environment: Mapping[str, str],
    *,
    context: RenderContext,
    now: datetime,
    notices: list[str],
    found: Mapping[str, Break] | None = None,
) -> list[Delivered]:
    """One pass over what waits, under the lock; incidents told to the folder while there was no token come along.

    `found`: this run's breaks by incident id. What could not go is in the answer, nothing is raised for it.
    """
    from alerts.outbox import deliver_pending, move_threads

    sink, fallback = make_sinks(settings, home, environment, notices)
    with delivery_lock(home):
        move_threads(state, sink, context=context, now=now, found=found)
        return deliver_pending(state, sink, now=now, fallback=fallback)


def make_context(
    features: Features, month_ends: Iterable[Mapping[str, Any]], *, as_of: date, settled_through: date | None
) -> RenderContext:
    """What a message says beside its break: budgets, units, and how far the data are settled."""
    return RenderContext(
        as_of=as_of,
        budgets={
            row["feature"]: BudgetView(
                monthly_budget_usd=row["monthly_budget_usd"],
                month_end_usd=row["mean_usd"],
                breach_probability=row["breach_probability"],
                breach_day=row["breach_date"],
            )
            for row in month_ends
            if row["monthly_budget_usd"]
        },
        units={name: feature.unit for name, feature in features.features.items()},
        settled_through=settled_through,
    )


def make_sinks(
    settings: Settings, home: Home, environment: Mapping[str, str], notices: list[str]
) -> tuple[Sink, Sink | None]:
    """(sink, fallback): Slack with a token, else a folder. With a token that cannot be read, messages wait for
    it in the outbox, and the folder shows them meanwhile."""
    from alerts.sinks import FolderSink, RefusingSink, StreamSink

    folder = FolderSink(home.outbox)
    try:
        token = slack_token(settings, environment)
        is_interactive = app_token(settings, environment) is not None
    except SettingsError as error:
        notices.append(f"{error} (messages wait for it; {home.outbox} shows them)")
        return RefusingSink(str(error)), folder
    if token is None:
        return folder, None
    from alerts.slack import SlackSink

    sink = SlackSink(token.get_secret_value(), base_url=settings.slack.base_url, interactive=is_interactive)
    return sink, StreamSink(sys.stdout)
