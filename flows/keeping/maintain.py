"""What keeps a home in order: retention and a backup. `trendbreak maintain` and the maintenance deployment."""

from __future__ import annotations

from datetime import datetime

from flows.errors import FlowError
from flows.keeping.backup import back_up
from flows.keeping.prefect_runs import remove_old_flow_runs
from flows.keeping.retention import remove_superseded
from flows.lake import open_home
from flows.settings import Settings

LOCK_WAIT_SECONDS = 3600.0


def maintain(settings: Settings, *, now: datetime | None = None) -> list[str]:
    """Do what the settings ask for; one line for each thing done. Waits for a run to end."""
    said = []
    removed = remove_superseded(settings, now=now, wait_seconds=LOCK_WAIT_SECONDS)
    said.append(f"retention: {removed.deliveries} superseded deliveries removed, {removed.freed_bytes:,} bytes freed")
    if settings.warehouse is not None:
        said.append(_keep_lake(settings))
    elif settings.backup.location:
        made = back_up(
            settings,
            settings.backup.location,
            with_landing=settings.backup.with_landing,
            keep=settings.backup.keep,
            now=now,
        )
        said.append(f"backup: {made.name} in {made.place}, {made.size_bytes:,} bytes")
    else:
        said.append("backup: none — set backup.location, or call `trendbreak backup` yourself")
    # Last: Prefect's database may be damaged or locked, and nothing else may wait for that.
    try:
        runs = remove_old_flow_runs(settings)
    except FlowError as error:
        return [*said, f"retention: {error}"]
    if runs is not None:
        said.append(f"retention: {runs} flow runs removed from the home's own Prefect database")
    return said


def _keep_lake(settings: Settings) -> str:
    from warehouse.lake_snapshots import drop_snapshots

    days = settings.retention.snapshot_days
    with open_home(settings) as warehouse:
        dropped = drop_snapshots(warehouse, snapshot_days=days)
    unused = " (backup.location is not used)" if settings.backup.location else ""
    return (
        f"lake: {dropped} snapshots older than {days} days dropped; back up its database, then its data path, "
        f"yourself{unused}: docs/operating.md"
    )
