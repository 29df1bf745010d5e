"""The deployments, once: `trendbreak serve` registers them, and `infra/prefect.yaml` must say the same."""

from __future__ import annotations

from dataclasses import dataclass

from flows.settings import ScheduleSettings, Settings


@dataclass(frozen=True)
class Deployment:
    """`entrypoint`: module.function; `schedule`: the key under `schedule:` that says when, None: by hand only."""

    name: str
    entrypoint: str
    schedule: str | None

    def cron(self, schedule: ScheduleSettings) -> str | None:
        """When it runs, in `schedule.timezone`; None: by hand only."""
        return getattr(schedule, self.schedule) if self.schedule else None

    def timing(self, settings: Settings) -> tuple[str | None, str]:
        """(cron or None, time zone). What waited for the end of the quiet hours goes out when they end."""
        quiet = settings.alerts.quiet_hours
        if self.name == "deliver" and quiet is not None:
            return f"{quiet.until.minute} {quiet.until.hour} * * *", quiet.timezone
        return self.cron(settings.schedule), settings.schedule.timezone


DEPLOYMENTS = (
    Deployment("daily", "flows.daily.daily", "cron"),
    Deployment("hourly", "flows.lanes.hourly", "hourly"),
    Deployment("digest", "flows.lanes.digest", "digest"),
    Deployment("deliver", "flows.lanes.deliver", None),
    Deployment("backtest", "flows.lanes.backtest", "backtest"),
    Deployment("maintenance", "flows.maintenance.maintenance", "maintenance"),
    Deployment("backfill", "flows.backfill.backfill", None),
)
