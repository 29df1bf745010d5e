"""Where messages go, what they are rendered with, and the lock under which the outbox is emptied.

The daily run, the button listener and `trendbreak incidents` all send: one of them at a time.
"""

from __future__ import annotations

import fcntl
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerts.message import BudgetView, RenderContext
from flows.errors import SettingsError
from flows.run import Home
from flows.settings import Settings, app_token, incoming_webhook, signed_webhook, slack_token

if TYPE_CHECKING:
    from alerts.holding import Held, PostingRules
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
    from alerts.holding import hold_threads
    from alerts.outbox import copy_for_webhook, deliver_copies, deliver_pending, move_threads

    sink, fallback = make_sinks(settings, home, environment, notices)
    with delivery_lock(home):
        move_threads(state, sink, context=context, now=now, found=found)
        held = hold_threads(state, posting_rules(settings), now=now)
        notices.extend(describe_held(held.values()))
        webhook = make_webhook(settings, environment)
        if webhook is not None:
            copy_for_webhook(state, since=_webhook_since(state, now), now=now)
        delivered = deliver_pending(state, sink, now=now, fallback=fallback, held=held)
        return delivered + deliver_copies(state, webhook, now=now)


def posting_rules(settings: Settings) -> PostingRules:
    """What of `alerts:` says when a new thread may begin."""
    from alerts.holding import PostingRules, QuietHours

    alerts, quiet = settings.alerts, settings.alerts.quiet_hours
    hours = None
    if quiet is not None:
        hours = QuietHours(quiet.start, quiet.until, quiet.timezone, high_passes=quiet.high_passes)
    return PostingRules(quiet_hours=hours, daily_messages=alerts.daily_messages)


def describe_held(held: Iterable[Held]) -> list[str]:
    """One line per reason."""
    counts = Counter(one.reason for one in held)
    return [f"{count} new incident{'s' if count > 1 else ''} not told yet: {why}" for why, count in counts.items()]


def _webhook_since(state: StateStore, now: datetime) -> datetime:
    """Since when there is a webhook: what was told before is not sent to it."""
    known = state.watermarks().get("webhook")
    if known is None:
        # The messages of the run that sees it first were enqueued just before.
        known = (now - timedelta(hours=1)).isoformat()
        state.set_watermark("webhook", known, now)
    return datetime.fromisoformat(known)


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
    """(sink, fallback). Slack with a token, else its incoming webhook, else a folder. With a secret that cannot be
    read, messages wait for it in the outbox, and the folder shows them meanwhile. The fallback is told of what the
    sink refuses: the incoming webhook, else the terminal."""
    from alerts.sinks import FolderSink, IncomingWebhookSink, RefusingSink, StreamSink

    folder = FolderSink(home.outbox)
    try:
        token = slack_token(settings, environment)
        is_interactive = app_token(settings, environment) is not None
        address = incoming_webhook(settings, environment)
    except SettingsError as error:
        notices.append(f"{error} (messages wait for it; {home.outbox} shows them)")
        return RefusingSink(str(error)), folder
    webhook = None if address is None else IncomingWebhookSink(address.get_secret_value())
    if token is None:
        return webhook or folder, folder if webhook else None
    from alerts.slack import SlackSink

    sink = SlackSink(token.get_secret_value(), base_url=settings.slack.base_url, interactive=is_interactive)
    return sink, webhook or StreamSink(sys.stdout)


def make_webhook(settings: Settings, environment: Mapping[str, str]) -> Sink | None:
    """The signed webhook that gets every message too; None when none is configured."""
    from alerts.sinks import RefusingSink, SignedWebhookSink

    try:
        found = signed_webhook(settings, environment)
    except SettingsError as error:
        return RefusingSink(str(error))
    if found is None:
        return None
    return SignedWebhookSink(found[0].get_secret_value(), found[1].get_secret_value())
