"""A Prefect database that is migrated already.

A fresh Prefect home runs all of Prefect's migrations at the first flow: 6 to 40 s. `make setup`
does it once and keeps the result beside the installed packages; a new home starts from the copy.
The copy is bound to the Prefect version in its name.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path


def template_path() -> Path:
    return Path(sys.prefix) / "share" / "trendbreak" / f"prefect-{version('prefect')}.db"


def make_template() -> Path:
    """Migrate a database and keep it; does nothing when this version's is there."""
    target = template_path()
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **quiet_environment(Path(folder))}
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        compact = Path(folder) / "compact.db"
        # The database is in WAL mode: VACUUM INTO writes one whole file.
        with sqlite3.connect(Path(folder) / "prefect.db") as connection:
            connection.execute("VACUUM INTO ?", (str(compact),))
        partial = target.with_suffix(f".{os.getpid()}.partial")
        shutil.copyfile(compact, partial)
        os.replace(partial, target)
    return target


def quiet_environment(prefect_home: Path) -> dict[str, str]:
    """Settings under which a Prefect process keeps to itself: its own home, no analytics, few logs."""
    return {
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "WARNING"),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # A busy machine takes longer than Prefect's 20 s to start its own server.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


def prepare(prefect_home: Path) -> bool:
    """Point this process at `prefect_home`, and give it the migrated database if it has none.

    Must run before Prefect is imported. A home or server that the person has configured is left alone: then False.
    """
    if os.environ.get("PREFECT_HOME") or os.environ.get("PREFECT_API_URL"):
        return False
    prefect_home.mkdir(parents=True, exist_ok=True)
    database = prefect_home / "prefect.db"
    template = template_path()
    if template.exists() and not database.exists():
        partial = database.with_suffix(f".{os.getpid()}.partial")
        shutil.copyfile(template, partial)
        os.replace(partial, database)
    os.environ.update(quiet_environment(prefect_home))
    return True


if __name__ == "__main__":
    make_template()
