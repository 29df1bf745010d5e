"""From series to messages that are sent: detect, decide, enqueue; then deliver."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from alerts.incidents import FeatureRoute, Routing, decide, incident_from_row
from alerts.message import BudgetView, RenderContext
from alerts.model import MemberSeries
from alerts.outbox import deliver_pending, record_action
from flows.errors import DeliveriesWaiting, SettingsError
from flows.run import Run
from flows.settings import slack_token

if TYPE_CHECKING:
    from alerts.sinks import Sink


def find_incidents(run: Run) -> None:
    """Find breaks on settled days, decide what each means for the ledger, and enqueue what is to be told."""
    from alerts.breaks import DetectionSettings, find_breaks
    from warehouse.series import read_members

    if run.panel is None or run.data_through is None:
        return
    members = [
        MemberSeries(**member)
        for member in read_members(
            run.warehouse.con, features=run.panel.features, start=run.panel.start, through=run.data_through
        )
    ]
    alerts = run.settings.alerts
    detection = DetectionSettings(
        min_usd_per_day=alerts.min_usd_per_day,
        min_percent=alerts.min_percent,
        false_alerts_per_month=alerts.false_alerts_per_month,
    )
    run.breaks = find_breaks(run.panel, members, detection)
    ledger = [incident_from_row(row) for row in run.state.list_incidents()]
    run.actions = decide(run.breaks, ledger, now=run.now, as_of=run.as_of, routing=_routing(run))
    context = RenderContext(
        as_of=run.as_of,
        budgets={
            row["feature"]: BudgetView(
                monthly_budget_usd=row["monthly_budget_usd"],
                month_end_usd=row["mean_usd"],
                breach_probability=row["breach_probability"],
                breach_day=row["breach_date"],
            )
            for row in run.month_ends
            if row["monthly_budget_usd"]
        },
        units={name: feature.unit for name, feature in run.features.features.items()},
        settled_through=run.data_through,
    )
    for action in run.actions:
        message = record_action(run.state, action, context=context, now=run.now)
        if message is not None:
            run.messages.append(message)


def deliver_messages(run: Run) -> None:
    """Send what the outbox holds: to Slack with a token, else to a folder.

    Raises DeliveriesWaiting when a message could not go now; it stays in the outbox for the next try.
    """
    sink, fallback = _sinks(run)
    delivered = deliver_pending(run.state, sink, now=run.present(), fallback=fallback)
    run.delivered.extend(delivered)
    run.notices.extend(
        f"refused by {one.sink}: {one.title} — {one.detail}" for one in delivered if one.status == "failed"
    )
    waiting = [f"{one.title} ({one.detail})" for one in delivered if one.status == "waiting"]
    if waiting:
        raise DeliveriesWaiting("waiting to be sent, in the outbox for the next run: " + "; ".join(waiting))


def _routing(run: Run) -> Routing:
    return Routing(
        default_channel=run.settings.slack.channel,
        features={
            name: FeatureRoute(channel=feature.channel, owner=feature.owner)
            for name, feature in run.features.features.items()
        },
    )


def _sinks(run: Run) -> tuple[Sink, Sink | None]:
    from alerts.sinks import FolderSink, StreamSink

    try:
        token = slack_token(run.settings, run.environment)
    except SettingsError as error:
        run.notices.append(f"{error} (meanwhile messages go to {run.home.outbox})")
        token = None
    if token is None:
        return FolderSink(run.home.outbox), None
    from alerts.slack import SlackSink

    return SlackSink(token.get_secret_value(), base_url=run.settings.slack.base_url), StreamSink(sys.stdout)
