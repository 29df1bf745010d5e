"""Old flow runs, their logs and events in the home's own Prefect database: removed by Prefect's own vacuum.

A Prefect server that the person has set up keeps its own house: PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from flows.errors import FlowError
from flows.serving.prefect_home import quiet_environment
from flows.settings import Settings

# Prefect reads its settings once, so this runs in a process of its own with those of the home.
_VACUUM = """
import asyncio
from prefect.server.database import provide_database_interface
from prefect.server.services import db_vacuum

async def vacuum():
    db = provide_database_interface()
    await db_vacuum.vacuum_old_flow_runs(db=db)
    await db_vacuum.vacuum_orphaned_logs(db=db)
    await db_vacuum.vacuum_orphaned_artifacts(db=db)
    await db_vacuum.vacuum_stale_artifact_collections(db=db)
    await db_vacuum.vacuum_events_with_retention_overrides(db=db)
    await db_vacuum.vacuum_old_events(db=db)

asyncio.run(vacuum())
"""


def remove_old_flow_runs(settings: Settings) -> int | None:
    """Remove runs that ended `retention.flow_run_days` ago; how many, or None where nothing is to be done here.

    Raises FlowError with Prefect's or SQLite's own words when it cannot.
    """
    days = settings.retention.flow_run_days
    home = settings.home / "prefect"
    database = home / "prefect.db"
    if days is None or not database.exists() or not _is_ours(home):
        return None
    before = _count(database)
    kept = str(int(timedelta(days=days).total_seconds()))
    environment = {
        **os.environ,
        **quiet_environment(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database.absolute()}",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": kept,
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{days}D",
    }
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run([sys.executable, "-c", _VACUUM], env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise _cannot(database, said[-1] if said else "Prefect says nothing")
    return before - _count(database)


def _is_ours(home: Path) -> bool:
    """Whether runs are recorded in this home: `serve` and `run` point these two at it, a person elsewhere."""
    where = os.environ.get("PREFECT_HOME")
    return where is None or Path(where).absolute() == home.absolute()


def _count(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        try:
            [count] = connection.execute("SELECT count(*) FROM flow_run").fetchone()
        except sqlite3.Error as error:
            raise _cannot(database, str(error)) from None
        return int(count)


def _cannot(database: Path, why: str) -> FlowError:
    return FlowError(
        f"{database}: old flow runs cannot be removed: {why} — set retention.flow_run_days to null to leave them"
    )
