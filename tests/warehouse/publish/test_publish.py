import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.warehouse.ledger import NOW, add_charges, build_marts, charge, rows_of
from tests.warehouse.published import LAST, features, fill_state, make_home, published_path, state_of
from warehouse.errors import WarehouseLocked
from warehouse.publish import PublishError, publish
from warehouse.store import hold_lock, open_warehouse


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_home(folder)
    return folder


def read(path: Path, sql: str) -> list[dict[str, object]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return rows_of(con, sql)


def test_the_snapshot_holds_marts_core_and_the_state_and_no_staging(home: Path) -> None:
    tables = {
        f"{row['schema_name']}.{row['table_name']}"
        for row in read(published_path(home), "SELECT schema_name, table_name FROM duckdb_tables()")
    }
    assert {
        "marts.feature_cost_daily", "marts.feature_unit_economics_daily", "focus.cost_and_usage", "core.allocations",
        "core.charge_amounts", "ops.deliveries", "ops.incidents", "ops.forecasts", "ops.outbox", "ops.runs",
        "ops.publication",
    } <= tables  # fmt: skip
    assert not [table for table in tables if table.startswith(("staging.", "main.")) or "stg_" in table]
    assert read(published_path(home), "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1") == [
        {"view_name": "charges"},
        {"view_name": "shadow_charges"},
    ]


def test_the_state_is_typed_in_the_snapshot(home: Path) -> None:
    incident = read(published_path(home), "SELECT * FROM ops.incidents")[0]
    assert incident["excess_usd_total"] == Decimal("120.00")
    assert incident["last_day"] == LAST
    assert incident["opened_at"] == NOW
    assert incident["details"] == '{"usd": "1.20"}'


def test_nothing_is_left_beside_the_snapshot(home: Path) -> None:
    assert [path.name for path in published_path(home).parent.iterdir()] == ["trendbreak.duckdb"]


def test_publishing_again_changes_nothing_but_the_moment(home: Path) -> None:
    sql = """
        SELECT (SELECT count(*) FROM marts.feature_cost_daily) AS days,
               (SELECT sum(hash(t)::HUGEINT) FROM marts.feature_cost_daily AS t) AS hash
    """
    before = read(published_path(home), sql)
    with open_warehouse(home, threads=1) as wh:
        publish(wh, state_of(home), published=published_path(home), now=NOW + timedelta(hours=1))
        publish(wh, state_of(home), published=published_path(home), now=NOW)
    assert read(published_path(home), sql) == before


def test_the_writer_keeps_its_lock_on_its_file(home: Path) -> None:
    """Closing a second handle of the file in the writer's process would drop DuckDB's lock."""
    with open_warehouse(home, threads=1) as wh:
        publish(wh, state_of(home), published=published_path(home), now=NOW)
        intruder = subprocess.run(
            [sys.executable, "-c", f"import duckdb; duckdb.connect({str(home / 'warehouse' / 'trendbreak.duckdb')!r})"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "lock" in intruder.stderr


def test_an_open_reader_keeps_its_snapshot(tmp_path: Path) -> None:
    make_home(tmp_path)
    published = published_path(tmp_path)
    sql = "SELECT sum(effective_cost) AS cost FROM core.allocations"
    with duckdb.connect(str(published), read_only=True) as reader:
        before = rows_of(reader, sql)
        with open_warehouse(tmp_path, threads=1) as wh:
            add_charges(wh, [charge(1000)])
            build_marts(wh, features(), run_id="run-2")
            publish(wh, state_of(tmp_path), published=published, now=NOW)
        assert rows_of(reader, sql) == before
        assert rows_of(reader, "SELECT count(*) AS n FROM marts.feature_cost_daily")[0]["n"] > 0
    after = read(published, sql)
    assert after[0]["cost"] - before[0]["cost"] == 1000  # type: ignore[operator]


def test_what_a_killed_publication_left_is_removed_first(home: Path) -> None:
    folder = published_path(home).parent
    (folder / ".trendbreak.duckdb.publishing").write_bytes(b"half of a file")
    (folder / ".trendbreak.duckdb.publishing.wal").write_bytes(b"and its log")
    (folder / ".trendbreak.duckdb.publishing-123").write_bytes(b"of an earlier version")
    with open_warehouse(home, threads=1) as wh:
        publish(wh, state_of(home), published=published_path(home), now=NOW)
    assert [path.name for path in folder.iterdir()] == ["trendbreak.duckdb"]


def test_two_do_not_write_the_snapshot_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.publish.WAIT_SECONDS", 0)
    before = published_path(home).read_bytes()
    half = published_path(home).with_name(".trendbreak.duckdb.publishing")
    with open_warehouse(home, threads=1) as wh:
        with hold_lock(home / ".published.lock", 0):
            half.write_bytes(b"what the other one writes")
            with pytest.raises(WarehouseLocked, match="another run is writing"):
                publish(wh, state_of(home), published=published_path(home), now=NOW + timedelta(days=1))
            assert half.read_bytes() == b"what the other one writes"
            assert published_path(home).read_bytes() == before
        publish(wh, state_of(home), published=published_path(home), now=NOW)
    assert not half.exists()


def test_a_copy_that_fails_leaves_the_old_snapshot(tmp_path: Path) -> None:
    """The disk is full for the copy alone: the child process may write no file larger than 64 KB."""
    make_home(tmp_path)
    published = published_path(tmp_path)
    before = published.read_bytes()
    import resource

    with open_warehouse(tmp_path, threads=1) as wh:
        publish(wh, state_of(tmp_path), published=published, now=NOW)
        before = published.read_bytes()
        size = (tmp_path / "warehouse" / "trendbreak.duckdb").stat().st_size
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            # Large enough for the checkpoint of a few small tables in place, too small for the whole file.
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, old[1]))
            with pytest.raises(PublishError, match="is the disk full"):
                publish(wh, state_of(tmp_path), published=published, now=NOW + timedelta(days=1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
            signal.signal(signal.SIGXFSZ, previous)
    assert published.read_bytes() == before
    assert [path.name for path in published.parent.iterdir()] == ["trendbreak.duckdb"]


def test_a_folder_that_cannot_be_made_is_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with open_warehouse(home, threads=1) as wh, pytest.raises(PublishError, match="file"):
        publish(wh, state_of(home), published=tmp_path / "file" / "trendbreak.duckdb", now=NOW)


PUBLISHER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from warehouse.publish import publish
from warehouse.store import open_warehouse

home = Path(sys.argv[1])
state = StateStore(f"sqlite:///{home / 'state.sqlite'}")
print("ready", flush=True)
while True:
    with open_warehouse(home, threads=1) as wh:
        publish(wh, state, published=home / "published" / "trendbreak.duckdb", now=datetime.now(UTC))
"""


def test_killed_at_any_moment_the_published_file_is_whole(tmp_path: Path) -> None:
    make_home(tmp_path)
    published = published_path(tmp_path)
    chance = random.Random(4)
    whole = read(published, "SELECT sum(effective_cost) AS cost FROM core.charges")
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.4))
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        assert read(published, "SELECT sum(effective_cost) AS cost FROM core.charges") == whole
        assert read(published, "SELECT count(*) AS n FROM ops.publication") == [{"n": 1}]
    with open_warehouse(tmp_path, wait_seconds=5, threads=1) as wh:
        publish(wh, state_of(tmp_path), published=published, now=NOW)
    assert [path.name for path in published.parent.iterdir()] == ["trendbreak.duckdb"]


def test_the_state_that_is_published_is_that_of_the_moment(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    fill_state(state)
    with open_warehouse(tmp_path, threads=1) as wh:
        publish(wh, state, published=published_path(tmp_path), now=NOW)
        state.save_incident({**state.list_incidents()[0], "status": "resolved"})
        publish(wh, state, published=published_path(tmp_path), now=NOW)
    assert read(published_path(tmp_path), "SELECT status FROM ops.incidents") == [{"status": "resolved"}]
