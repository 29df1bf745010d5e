"""The warehouse as a DuckLake on a real PostgreSQL: several writers, readers meanwhile, kill -9, S3, old snapshots."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from flows.settings.references import resolve_address
from tests.servers.postgres import Postgres
from tests.servers.s3 import CREDENTIALS, BucketSite, Moto, moto_server
from tests.warehouse.bills import NOW, Home, call_rows, one, rows_of
from tests.warehouse.lake.loader import DAYS, load, run
from tests.warehouse.ledger import build_marts
from warehouse import store
from warehouse.errors import StoreError, WarehouseLocked, WriteConflict
from warehouse.features import parse_features
from warehouse.lake import Lake, S3Access, Turns, attach, lake_connection, try_lake
from warehouse.publish import publish
from warehouse.state import StateStore
from warehouse.store import Warehouse, open_warehouse

D = Decimal
SECONDS = 900  # a bound for a machine that is busy
SOURCES = ("a", "b", "c", "d")
MILLI = (1, 20)  # what each row costs, delivery by delivery
PER_SOURCE = """
    SELECT source_name, count(*), min(billed_cost), max(billed_cost), sum(billed_cost) FROM lake.core.charges GROUP BY 1
"""


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_server() as server:
        yield server


@pytest.fixture
def lake(postgres: Postgres, tmp_path: Path) -> Lake:
    return Lake(f"{postgres.new_database().dsn} sslmode=prefer connect_timeout=20", str(tmp_path / "lake"))


def start_loader(lake: Lake, root: Path, source: str) -> ForkServerProcess:
    """Children come from a server that has done the imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warehouse.lake.loader"])
    child = context.Process(target=run, args=(lake.catalogue, lake.data_path, str(root / source), source, MILLI))
    child.start()
    return child


def wait_for(file: Path, child: ForkServerProcess) -> None:
    deadline = time.monotonic() + SECONDS
    while not file.exists():
        assert child.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_totals(con: duckdb.DuckDBPyConnection) -> dict[str, Decimal]:
    """Σ per source as a reader sees it now. Every source's rows are of one delivery: none torn, none missing."""
    rows = con.execute(PER_SOURCE).fetchall()
    for source, count, lowest, highest, total in rows:
        assert (count, lowest) == (DAYS, highest), source
        assert total in {D(milli) / 1000 * DAYS for milli in MILLI}
    return {source: total for source, _, _, _, total in rows}


def test_four_processes_load_at_once_one_is_killed_and_readers_never_wait(lake: Lake, tmp_path: Path) -> None:
    """Two of them also find no lake and make it; the killed one's second delivery is loaded by its next run."""
    loaders = {source: start_loader(lake, tmp_path, source) for source in SOURCES}
    victim = loaders.pop("d")
    wait_for(tmp_path / "d" / "loaded", victim)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    with lake_connection() as reader:
        attach(reader, lake)
        assert read_totals(reader)["d"] >= D(MILLI[0]) / 1000 * DAYS
        while any(loader.is_alive() for loader in loaders.values()):
            read_totals(reader)
            time.sleep(0.1)
        victim.join(SECONDS)
        again = start_loader(lake, tmp_path, "d")
        for loader in (*loaders.values(), again):
            loader.join(SECONDS)
            assert loader.exitcode == 0
        assert victim.exitcode == -signal.SIGKILL
        assert read_totals(reader) == dict.fromkeys(SOURCES, D(MILLI[-1]) / 1000 * DAYS)
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        current = rows_of(wh, "SELECT source_name, count(*) FROM ops.deliveries WHERE is_current GROUP BY 1 ORDER BY 1")
        assert current == [(source, 1) for source in SOURCES]
        recorded = "SELECT sum(billed_cost), sum(source_rows) FROM ops.delivery_days WHERE is_current"
        assert rows_of(wh, recorded) == [(D(MILLI[-1]) / 1000 * DAYS * 4, DAYS * 4)]
        numbers = "SELECT count(*), count(DISTINCT load_number) FROM ops.deliveries"
        assert one(wh, "SELECT count(*) = count(DISTINCT load_number) FROM ops.deliveries"), rows_of(wh, numbers)


def test_a_commit_that_meets_another_is_made_again_and_one_that_always_does_says_so(lake: Lake, tmp_path: Path) -> None:
    attempts: list[int] = []

    def settle(others: int) -> None:
        """`others` times somebody who takes no turn changes the same table before this transaction commits."""
        attempts.append(1)
        wh.con.execute("DELETE FROM ops.settled")
        wh.con.execute("INSERT INTO ops.settled VALUES ('ours', DATE '2026-01-01', NULL)")
        if len(attempts) <= others:
            with lake_connection() as con:
                attach(con, lake)
                con.execute("INSERT INTO lake.ops.settled VALUES ('theirs', DATE '2026-01-01', NULL)")

    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        wh.con.execute("INSERT INTO ops.settled VALUES ('before', DATE '2026-01-01', NULL)")
        wh.commit(lambda: settle(1))
        assert len(attempts) == 2
        assert rows_of(wh, "SELECT source_name FROM ops.settled") == [("ours",)]
        attempts.clear()
        with pytest.raises(WriteConflict, match="run it again"), wh.as_one():
            settle(1)
        assert sorted(rows_of(wh, "SELECT source_name FROM ops.settled")) == [("ours",), ("theirs",)]


def test_a_turn_that_is_taken_names_its_holder(lake: Lake, tmp_path: Path) -> None:
    other = Turns(lake)
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        with other.hold("build"):
            holder = rf"pid {os.getpid()} on .*, connected since"
            with pytest.raises(WarehouseLocked, match=holder), wh.turn("build", wait_seconds=0):
                pytest.fail("two have it")
            with wh.turn("deliveries", wait_seconds=0), wh.turn("deliveries", wait_seconds=0):
                pass
        with wh.turn("build", wait_seconds=0):
            pass
    other.close()


def waiting_for(postgres: Postgres, lake: Lake, condition: str) -> int:
    """How many sessions of the lake's database wait for a lock, of those that the condition on pg_locks names."""
    with psycopg.connect(f"host={postgres.socket} user=postgres dbname=postgres") as connection:
        return int(
            connection.execute(
                "SELECT count(DISTINCT l.pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
                f"WHERE d.datname = %s AND NOT l.granted AND {condition}",
                [conninfo_to_dict(lake.catalogue)["dbname"]],
            ).fetchall()[0][0]
        )


def end_sessions(lake: Lake, key: str = "l.granted") -> int:
    """Cut the sessions that hold (or wait for) turns; how many there were."""
    with psycopg.connect(lake.catalogue, autocommit=True) as connection:
        return len(
            connection.execute(
                "SELECT pg_terminate_backend(pid, 60000) "
                "FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
                f"WHERE d.datname = current_database() AND l.locktype = 'advisory' AND {key} GROUP BY pid"
            ).fetchall()
        )


def wait_until(reached: Callable[[], bool], workers: Sequence[Thread] = ()) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline
        assert not workers or any(worker.is_alive() for worker in workers)
        time.sleep(0.02)


def test_two_first_loads_whose_turn_is_cut_before_their_commit_count_once(
    postgres: Postgres, lake: Lake, tmp_path: Path
) -> None:
    """Both only insert, and both are past every look at their locks when the first of them commits."""

    def write(place: int) -> None:
        home = Home(tmp_path / str(place))
        with open_warehouse(home.root, lake=lake, threads=1) as wh:
            load(wh, home, "a", MILLI[0])

    with open_warehouse(tmp_path, lake=lake, threads=1):
        pass
    writers = [Thread(target=write, args=(place,)) for place in range(2)]
    with psycopg.connect(lake.catalogue) as barrier:
        # Reading goes on; a commit waits where it would become visible.
        barrier.execute("LOCK TABLE trendbreak.ducklake_snapshot IN SHARE MODE")
        for number, writer in enumerate(writers, start=1):
            writer.start()
            wait_until(lambda number=number: waiting_for(postgres, lake, "l.locktype = 'relation'") == number, [writer])
            assert end_sessions(lake) == 1
    for writer in writers:
        writer.join(SECONDS)
        assert not writer.is_alive()
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        assert rows_of(wh, PER_SOURCE) == [("a", DAYS, D("0.001"), D("0.001"), D("0.001") * DAYS)]
        assert rows_of(wh, "SELECT count(*), sum(source_rows) FROM ops.delivery_days WHERE is_current") == [
            (DAYS, DAYS)
        ]
        assert one(wh, "SELECT count(*) FROM ops.deliveries WHERE is_current") == 1


def test_a_turn_that_is_lost_is_told_before_the_commit_and_taken_again(lake: Lake, tmp_path: Path) -> None:
    attempts: list[int] = []
    other = Turns(lake)

    def settle() -> None:
        attempts.append(1)
        wh.con.execute(f"INSERT INTO ops.settled VALUES ('attempt {len(attempts)}', DATE '2026-01-01', NULL)")
        if len(attempts) == 1:
            assert end_sessions(lake) == 1

    with open_warehouse(tmp_path, lake=lake, threads=1) as wh, wh.turn("build"):
        wh.commit(settle, "models")
        assert rows_of(wh, "SELECT source_name FROM ops.settled") == [("attempt 2",)]
        with pytest.raises(WarehouseLocked, match=rf"pid {os.getpid()} on"), other.hold("build", 0):
            pytest.fail("the outer turn is not held any more")
        assert wh.turns is not None
        end_sessions(lake)
        with pytest.raises(WriteConflict, match="the session that holds the turn to write has ended"):
            wh.turns.check()
        taken = pytest.raises(WarehouseLocked, match="another run is writing")  # it came first
        with other.hold("build", 0), taken, wh.turn("models", 0):
            pytest.fail("two have the outer turn")
        with wh.turn("models", 0), pytest.raises(WarehouseLocked), other.hold("build", 0):
            pytest.fail("the outer turn is not held any more")
    other.close()


def test_work_whose_every_connection_is_cut_is_made_again(lake: Lake, tmp_path: Path) -> None:
    attempts: list[int] = []

    def settle() -> None:
        attempts.append(1)
        wh.con.execute(f"INSERT INTO ops.settled VALUES ('attempt {len(attempts)}', DATE '2026-01-01', NULL)")
        if len(attempts) == 1:
            with psycopg.connect(lake.catalogue, autocommit=True) as connection:
                cut = connection.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
            assert len(cut) >= 2  # the lock's and DuckDB's own

    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        wh.commit(settle)
        assert rows_of(wh, "SELECT source_name FROM ops.settled") == [("attempt 2",)]


def test_what_is_loaded_during_a_build_is_in_all_of_it_or_in_none(
    postgres: Postgres, lake: Lake, tmp_path: Path
) -> None:
    """Two sources report one call: the second between tasks and models. A bill is loaded after the models."""
    home, results = Home(tmp_path), []

    def load_calls(wh: Warehouse, source: str) -> None:
        home.load_rows(wh, call_rows({"response_id": "r1"}), source=source, source_type="events", content=source)

    def build_it() -> None:
        with open_warehouse(tmp_path / "other", lake=lake, threads=1) as wh:
            results.append(build_marts(wh, parse_features("version: 1"), settled_through={}))

    other = Turns(lake)
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        load(wh, home, "a", MILLI[0])
        load_calls(wh, "first")
        builder = Thread(target=build_it)
        with other.hold("models"):
            builder.start()
            wait_until(lambda: waiting_for(postgres, lake, "l.locktype = 'advisory'") == 1, [builder])
            load_calls(wh, "second")
        builder.join(SECONDS)
        assert len(results) == 1
        assert rows_of(wh, "SELECT sum(calls), sum(tasks) FROM core.usage") == [(1, 1)]
        assert rows_of(wh, "SELECT sum(calls), count(*) FROM staging.tasks") == [(1, 1)]

        load(wh, home, "b", MILLI[1])
        state = StateStore(f"sqlite:///{tmp_path / 'state.sqlite'}")
        state.create()
        published = publish(wh, state, published=tmp_path / "published" / "trendbreak.duckdb", now=NOW)
        assert one(wh, "SELECT count(DISTINCT source_name) FROM core.charges") == 2
    other.close()
    with duckdb.connect(str(published), read_only=True) as con:
        layers = "SELECT sum(billed_cost) FROM core.charges UNION ALL SELECT sum(billed_cost) FROM core.allocations"
        assert con.execute(layers).fetchall() == [(D(MILLI[0]) / 1000 * DAYS,)] * 2
        assert con.execute("SELECT source_name FROM ops.deliveries ORDER BY 1").fetchall() == [
            ("a",),
            ("first",),
            ("second",),
        ]


def test_a_lake_of_an_older_version_keeps_its_charges(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 10 had one table of charges, and one of shadows."""
    older = tmp_path / "migrations"
    older.mkdir()
    for migration in sorted(store.MIGRATIONS.glob("*.sql"))[:10]:
        shutil.copy(migration, older)
    sums = "SELECT source_name, tags, billed_cost, billed_cost_usd FROM core.{} ORDER BY ALL"
    with monkeypatch.context() as patched:
        patched.setattr(store, "MIGRATIONS", older)
        with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
            for table, source, currency in (
                ("charges", "a", "USD"),
                ("charges", "b", "EUR"),
                ("shadow_charges", "c", "USD"),
            ):
                wh.con.execute(
                    f"INSERT INTO core.{table} BY NAME SELECT ? AS source_name, 'openai' AS source_type, '' AS scope, "
                    "'d' AS delivery_id, DATE '2026-01-01' + n::INTEGER AS charge_date, 'llm_api' AS ai_kind, "
                    "'unknown' AS workload, ? AS billing_currency, 'reported' AS basis, 1 AS source_rows, "
                    "n AS billed_cost, n * if(? = 'EUR', 2, 1) AS billed_cost_usd, 'tag' || n AS tags "
                    "FROM range(3) AS numbers(n)",
                    [source, currency, currency],
                )
            before = [rows_of(wh, sums.format(table)) for table in ("charges", "shadow_charges")]
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        assert [rows_of(wh, sums.format(table)) for table in ("charges", "shadow_charges")] == before
        assert rows_of(wh, "SELECT count(*) FROM core.charge_dimensions") == [(3,)]
        state = StateStore(f"sqlite:///{tmp_path / 'state.sqlite'}")
        state.create()
        published = publish(wh, state, published=tmp_path / "published" / "trendbreak.duckdb", now=NOW)
    with duckdb.connect(str(published), read_only=True) as con:
        assert [con.execute(sums.format(table)).fetchall() for table in ("charges", "shadow_charges")] == before


def test_a_password_of_any_characters_reaches_both_clients(postgres: Postgres, tmp_path: Path) -> None:
    password = "p@ss/w%40rd #:?'\\\" &="
    database = postgres.new_database(password=password)
    for catalogue in (
        f"postgresql://{database.name}:${{P}}@/{database.name}?host={postgres.socket}",
        f"host={postgres.socket} dbname={database.name} user={database.name} password=${{P}}",
    ):
        lake = Lake(resolve_address(catalogue, {"P": password}, "warehouse"), str(tmp_path))
        assert try_lake(lake) == f"catalogue {database.name} on {postgres.socket}, data {tmp_path}"
        assert password not in repr(lake)
    wrong = Lake(resolve_address(catalogue, {"P": f"{password}!"}, "warehouse"), str(tmp_path))
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        try_lake(wrong)
    assert password not in str(caught.value)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{database.name}" OWNER TO postgres')
    elsewhere = Lake(lake.catalogue, str(tmp_path), schema="elsewhere")
    with pytest.raises(StoreError, match=r"DuckDB cannot attach it: .*permission denied for database") as caught:
        try_lake(elsewhere)
    assert "p@ss" not in str(caught.value)


@pytest.mark.parametrize(
    "catalogue",
    [
        "postgresql://me:never@in-an-error@db/lake",
        "postgresql://me:never/in-an-error@db/lake",
        "postgresql://me:1/in-an-error@db/lake",
        "postgresql://me:never%in-an-error@db/lake",
        "host=db password=never in-an-error",
        "host=db password=never 'in-an-error=x",
        "host=me:never@in-an-error dbname=lake",
    ],
)
def test_a_password_that_is_not_quoted_is_refused_with_the_cure(catalogue: str) -> None:
    with pytest.raises(StoreError, match=r"the password as \$\{NAME\}, which may hold any character") as caught:
        Lake(catalogue, "data")
    assert "in-an-error" not in str(caught.value)
    assert "never" not in str(caught.value)


def test_a_dump_of_the_catalogue_and_a_later_copy_of_the_data_bring_a_lake_back(
    postgres: Postgres, lake: Lake, tmp_path: Path
) -> None:
    """As docs/operating.md says it: the dump first."""
    home, data = Home(tmp_path), Path(lake.data_path)
    dump = [postgres.binaries / "pg_dump", "--format=custom", f"--file={tmp_path}/dump", lake.catalogue]
    restore = [postgres.binaries / "pg_restore", "--clean", "--if-exists", f"--dbname={lake.catalogue}"]
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        load(wh, home, "a", MILLI[0])
        subprocess.run(dump, check=True)
        load(wh, home, "a", MILLI[1])
    shutil.copytree(data, tmp_path / "copy")
    shutil.rmtree(data)
    shutil.move(tmp_path / "copy", data)
    subprocess.run([*restore, tmp_path / "dump"], check=True)
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        assert read_totals(wh.con) == {"a": D(MILLI[0]) / 1000 * DAYS}
        load(wh, home, "a", MILLI[1])
        assert read_totals(wh.con) == {"a": D(MILLI[1]) / 1000 * DAYS}


def test_data_on_s3(postgres: Postgres, moto: Moto, tmp_path: Path) -> None:
    site = BucketSite(moto)
    access = S3Access(
        "us-east-1", CREDENTIALS["aws_access_key_id"], CREDENTIALS["aws_secret_access_key"], endpoint_url=moto.url
    )
    lake = Lake(postgres.new_database().dsn, f"s3://{site.bucket}/lake", access)
    assert try_lake(lake).endswith(f"s3://{site.bucket}/lake")
    listed = moto.client("s3").list_objects_v2
    assert "Contents" not in listed(Bucket=site.bucket)  # the check leaves nothing
    home = Home(tmp_path)
    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        for milli in MILLI:
            load(wh, home, "a", milli)
    keys = [entry["Key"] for entry in listed(Bucket=site.bucket)["Contents"]]
    assert keys
    assert all(key.startswith("lake/trendbreak-") for key in keys)
    with lake_connection() as reader:
        attach(reader, lake)
        assert read_totals(reader) == {"a": D(MILLI[1]) / 1000 * DAYS}

    elsewhere = Lake(lake.catalogue, f"s3://{site.bucket}/other", access)
    with pytest.raises(StoreError, match=r"its data is at s3://.*/lake/.* says s3://.*/other/"):
        try_lake(elsewhere)
    missing = Lake(postgres.new_database().dsn, "s3://no-such-bucket/lake", access)
    with pytest.raises(StoreError, match="cannot be written and read") as caught:
        try_lake(missing)
    assert CREDENTIALS["aws_secret_access_key"] not in str(caught.value)


@pytest.mark.parametrize(
    ("catalogue", "said"),
    [
        ("host=127.0.0.1 port=1 dbname=lake user=someone password=never-in-an-error", "cannot be reached"),
        ("postgresql://someone:never-in-an-error@127.0.0.1:1/lake", "cannot be reached"),
        ("never-in-an-error", "is no address of a database"),
    ],
)
def test_a_catalogue_that_is_not_there_is_told_without_its_password(catalogue: str, said: str, tmp_path: Path) -> None:
    def reach() -> Any:
        return try_lake(Lake(catalogue, str(tmp_path)))

    with pytest.raises(StoreError, match=said) as caught:
        reach()
    assert "never-in-an-error" not in str(caught.value)
