"""One writer at a time; the files are brought to this version, and a newer one is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from tests.warehouse.bills import Home, one, rows_of
from warehouse import store
from warehouse.errors import StoreError, WarehouseLocked
from warehouse.store import open_warehouse


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder in which nothing was made yet."""
    return Home(tmp_path / "home")


HOLDER = """
import sys, time
from pathlib import Path
from warehouse.store import open_warehouse

with open_warehouse(Path(sys.argv[1])):
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(WarehouseLocked) as caught, open_warehouse(tmp_path):
            pass
        text = str(caught.value)
        assert f"pid {holder.pid} on {os.uname().nodename}, since 20" in text
        assert "wait for it to end" in text
        started = time.monotonic()
        with pytest.raises(WarehouseLocked), open_warehouse(tmp_path, wait_seconds=0.3):
            pass
        assert time.monotonic() - started >= 0.3
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    with open_warehouse(tmp_path, wait_seconds=5) as wh:  # a killed run holds nothing
        assert one(wh, "SELECT 1") == 1


def test_waiting_for_the_lock(tmp_path: Path) -> None:
    opened = threading.Event()

    def hold() -> None:
        with open_warehouse(tmp_path):
            opened.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    assert opened.wait(10)
    with open_warehouse(tmp_path, wait_seconds=10) as wh:
        assert one(wh, "SELECT 1") == 1
    thread.join()


def test_the_layers_and_staging_are_there(home: Home) -> None:
    with home.open() as wh:
        found = {
            tuple(row) for row in rows_of(wh, "SELECT database_name, schema_name, table_name FROM duckdb_tables()")
        }
        assert ("trendbreak", "core", "charge_amounts") in found
        assert ("trendbreak", "ops", "deliveries") in found
        assert ("staging", "main", "stg_calls") in found
        assert one(wh, "SELECT current_setting('TimeZone')") == "UTC"
        assert one(wh, "SELECT count(*) FROM ops.migrations") == len(list(store.MIGRATIONS.glob("*.sql")))


def test_migrations_run_once_each_and_in_order(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    monkeypatch.setattr(store, "MIGRATIONS", folder)
    (folder / "0001_one.sql").write_text(
        "CREATE SCHEMA core; CREATE TABLE core.a (x INTEGER); INSERT INTO core.a VALUES (1)"
    )
    with home.open() as wh:
        assert one(wh, "SELECT x FROM core.a") == 1
    (folder / "0002_two.sql").write_text("UPDATE core.a SET x = x + 1")
    for _ in range(2):
        with home.open() as wh:
            assert one(wh, "SELECT x FROM core.a") == 2
            assert rows_of(wh, "SELECT version, name FROM ops.migrations ORDER BY 1") == [
                (1, "0001_one"),
                (2, "0002_two"),
            ]


def test_a_migration_that_fails_leaves_nothing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    monkeypatch.setattr(store, "MIGRATIONS", folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE ops.a (x INTEGER); SELECT nonsense")
    with pytest.raises(StoreError, match=r"0001_one\.sql"), home.open():
        pass
    (folder / "0001_one.sql").write_text("CREATE TABLE ops.a (x INTEGER)")
    with home.open() as wh:
        assert one(wh, "SELECT count(*) FROM ops.a") == 0


def test_a_migration_that_was_edited_is_refused(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    monkeypatch.setattr(store, "MIGRATIONS", folder)
    (folder / "0001_one.sql").write_text("SELECT 1")
    with home.open():
        pass
    (folder / "0001_one.sql").write_text("SELECT 2")
    with pytest.raises(StoreError, match="append-only"), home.open():
        pass


def test_a_warehouse_of_a_newer_program_is_not_touched(home: Home) -> None:
    with home.open() as wh:
        wh.con.execute("INSERT INTO ops.migrations VALUES (9999, '9999_future', 'x')")
    with pytest.raises(StoreError, match="at version 9999"), home.open():
        pass


@pytest.mark.parametrize(("name", "cure"), [("trendbreak.duckdb", "rebuild"), ("staging.duckdb", "remove this file")])
def test_a_damaged_file_is_named_with_its_cure(home: Home, name: str, cure: str) -> None:
    with home.open():
        pass
    path = home.root / "warehouse" / name
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError) as caught, home.open():
        pass
    assert str(path) in str(caught.value)
    assert cure in str(caught.value)


def test_work_that_raises_leaves_nothing(home: Home) -> None:
    with home.open() as wh:
        with pytest.raises(duckdb.CatalogException):
            wh.commit(lambda: wh.con.execute("CREATE TABLE core.half AS SELECT 1 AS x; SELECT * FROM core.nothing"))
        assert rows_of(wh, "SELECT table_name FROM duckdb_tables() WHERE table_name = 'half'") == []


def test_what_a_killed_run_spilled_is_removed(home: Home) -> None:
    spill = home.root / "warehouse" / "spill"
    spill.mkdir(parents=True)
    (spill / "duckdb_temp_storage-0.tmp").write_bytes(b"x")
    with home.open():
        assert not any(spill.glob("*.tmp"))
