"""The warehouse as a DuckLake on a real PostgreSQL: several writers, readers meanwhile, kill -9, S3, old snapshots."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.servers.postgres import Postgres
from tests.servers.s3 import CREDENTIALS, BucketSite, Moto, moto_server
from tests.warehouse.bills import Home, one, rows_of
from tests.warehouse.lake.loader import DAYS, load, run
from warehouse.errors import StoreError, WarehouseLocked, WriteConflict
from warehouse.lake import Lake, S3Access, Turns, attach, lake_connection, retry_conflicts, try_lake
from warehouse.store import open_warehouse

D = Decimal
SECONDS = 900  # a bound for a machine that is busy
SOURCES = ("a", "b", "c", "d")
MILLI = (1, 20, 300)  # what each row costs, delivery by delivery
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


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not file.exists():
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
    wait_for(tmp_path / "d" / "loaded")
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
        with wh.transaction():
            wh.con.execute("DELETE FROM ops.settled")
            wh.con.execute("INSERT INTO ops.settled VALUES ('ours', DATE '2026-01-01', NULL)")
            if len(attempts) <= others:
                with lake_connection() as con:
                    attach(con, lake)
                    con.execute("INSERT INTO lake.ops.settled VALUES ('theirs', DATE '2026-01-01', NULL)")

    with open_warehouse(tmp_path, lake=lake, threads=1) as wh:
        wh.con.execute("INSERT INTO ops.settled VALUES ('before', DATE '2026-01-01', NULL)")
        retry_conflicts(lambda: settle(1))
        assert len(attempts) == 2
        assert rows_of(wh, "SELECT source_name FROM ops.settled") == [("ours",)]
        attempts.clear()
        with pytest.raises(WriteConflict, match="run it again"):
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
        for milli in MILLI[:2]:
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
