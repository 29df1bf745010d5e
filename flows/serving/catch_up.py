"""Runs that were due while nothing was running: one run does the work of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID


def first_due(cron: str, timezone: str, since: datetime) -> datetime:
    """The first time after `since` at which the schedule fires, in UTC."""
    import asyncio

    from prefect.server.schemas.schedules import CronSchedule

    schedule = CronSchedule(cron=cron, timezone=timezone)
    due = asyncio.run(schedule.get_dates(1, since + timedelta(seconds=1)))  # a start on the tick would be the tick
    return due[0].astimezone(UTC)


def catch_up(
    deployment_id: UUID, *, cron: str, timezone: str, last_run_at: datetime | None, now: datetime
) -> str | None:
    """Make sure that one run, and only one, does what was missed since `last_run_at`; what was done, for a person.

    Runs that Prefect had scheduled for the past are taken as that run; the surplus is cancelled. A daily run begins at
    the first day that is not in, so one is enough however many were missed. None when nothing was missed.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterNextScheduledStartTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelled

    if last_run_at is None or first_due(cron, timezone, last_run_at) > now:
        return None
    waiting = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=now),
    )
    with get_client(sync_client=True) as client:
        late: list[Any] = client.read_flow_runs(flow_run_filter=waiting)
        for surplus in late[1:]:
            message = "Missed while nothing was running; one run catches up for all."
            client.set_flow_run_state(surplus.id, Cancelled(message=message), force=True)
        if not late:
            client.create_flow_run_from_deployment(deployment_id, name="catch-up", tags=["trendbreak", "catch-up"])
    return f"the last run was {last_run_at:%Y-%m-%d %H:%M} UTC: one run catches up now"
