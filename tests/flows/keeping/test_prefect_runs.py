"""Old flow runs leave the home's own Prefect database, with their logs; nobody else's is touched."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.keeping.maintain import maintain
from flows.keeping.prefect_runs import remove_old_flow_runs
from flows.serving.prefect_home import make_template
from flows.settings import Settings, load_settings
from tests.flows.small_bill import write_small_home
from warehouse.store import open_warehouse

NOW = datetime.now(UTC)
FLOW = "5f1f3d0e-2a39-4a0e-9c43-5a2f8d1c7b10"


def settings_of(folder: Path, retention: str) -> Settings:
    return load_settings(write_small_home(folder, extra=f"retention: {{{retention}}}\n"))


def fill(database: Path) -> None:
    """A run that ended 100 days ago, one of yesterday, and one that began long ago and still runs; a log of each."""
    database.parent.mkdir(parents=True)
    shutil.copyfile(make_template(), database)
    ends = {"old": NOW - timedelta(days=100), "new": NOW - timedelta(days=1), "running": None}
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO flow (id, name) VALUES (?, 'daily')", [FLOW])
        for number, (name, end) in enumerate(ends.items()):
            run = f"00000000-0000-4000-8000-00000000000{number}"
            state = "RUNNING" if end is None else "COMPLETED"
            connection.execute(
                "INSERT INTO flow_run (id, name, flow_id, state_type, start_time, end_time) VALUES (?, ?, ?, ?, ?, ?)",
                [run, name, FLOW, state, str(NOW - timedelta(days=101)), None if end is None else str(end)],
            )
            connection.execute(
                "INSERT INTO log (name, level, message, timestamp, flow_run_id) VALUES ('x', 20, ?, ?, ?)",
                [name, str(NOW), run],
            )


def held(database: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT f.name, l.message FROM flow_run f JOIN log l ON l.flow_run_id = f.id")
        logs = connection.execute("SELECT count(*) FROM log").fetchone()[0]
        rows = sorted(found.fetchall())
        assert logs == len(rows)
        return rows


def test_runs_that_ended_long_ago_go_with_their_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    settings = settings_of(tmp_path, "flow_run_days: 30")
    database = settings.home / "prefect" / "prefect.db"
    assert remove_old_flow_runs(settings) is None  # no run yet, and so no database
    fill(database)
    assert remove_old_flow_runs(settings) == 1
    assert held(database) == [("new", "new"), ("running", "running")]
    assert remove_old_flow_runs(settings) == 0


@pytest.mark.parametrize(
    ("retention", "prefect_home"), [("flow_run_days: null", None), ("flow_run_days: 30", "theirs")]
)
def test_what_is_not_asked_for_or_not_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retention: str, prefect_home: str | None
) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    if prefect_home:
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path / prefect_home))
    settings = settings_of(tmp_path, retention)
    fill(settings.home / "prefect" / "prefect.db")
    assert remove_old_flow_runs(settings) is None
    assert len(held(settings.home / "prefect" / "prefect.db")) == 3


def test_a_damaged_database_of_prefect_keeps_nobody_from_a_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    config = write_small_home(tmp_path, extra=f"backup: {{location: {tmp_path / 'backups'}}}\n")
    settings = load_settings(config)
    with open_warehouse(settings.home):
        pass
    (settings.home / "prefect").mkdir()
    database = settings.home / "prefect" / "prefect.db"
    for content in (b"", b"no database at all " * 100):
        database.write_bytes(content)
        said = maintain(settings)
        assert said[-2].startswith("backup: ")
        assert said[-1].startswith(f"retention: {database}: old flow runs cannot be removed: ")
    assert len(list((tmp_path / "backups").iterdir())) == 2
