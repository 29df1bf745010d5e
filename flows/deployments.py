"""The deployments, once: `trendbreak serve` registers them, and `infra/prefect.yaml` must say the same."""

from __future__ import annotations

from dataclasses import dataclass

from flows.settings import ScheduleSettings


@dataclass(frozen=True)
class Deployment:
    """`entrypoint`: module.function; `schedule`: the key under `schedule:` that says when, None: by hand only."""

    name: str
    entrypoint: str
    schedule: str | None

    def cron(self, schedule: ScheduleSettings) -> str | None:
        """When it runs, in `schedule.timezone`; None: by hand only."""
        return getattr(schedule, self.schedule) if self.schedule else None


DEPLOYMENTS = (
    Deployment("daily", "flows.daily.daily", "cron"),
    Deployment("hourly", "flows.lanes.hourly", "hourly"),
    Deployment("digest", "flows.lanes.digest", "digest"),
    Deployment("backtest", "flows.lanes.backtest", "backtest"),
    Deployment("maintenance", "flows.maintenance.maintenance", "maintenance"),
    Deployment("backfill", "flows.backfill.backfill", None),
)
