"""A home whose warehouse is a DuckLake and whose state is in PostgreSQL, through the commands that people use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from flows.keeping.maintain import maintain
from flows.run import open_run
from flows.settings import load_settings
from flows.steps.direct import run_direct
from flows.summary import summarise
from tests.flows.command import typed
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from tests.servers.postgres import Database, postgres_server

DAYS = 10
TOTAL = "SELECT sum(effective_cost_usd) AS dollars FROM marts.feature_cost_daily"


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres_server() as server:
        yield server.new_database()


@pytest.fixture(scope="module")
def homes(database: Database, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a file's, a lake's): the same bill and calls, run at the same clock."""
    folders = (tmp_path_factory.mktemp("file"), tmp_path_factory.mktemp("lake"))
    now = datetime.now(UTC)
    for folder in folders:
        config = write_small_home(folder, days=DAYS)
        (folder / "events").mkdir()
        extra = ""
        if folder is folders[1]:
            extra = f'\nwarehouse: "ducklake:postgres:{database.dsn}"\nstate: "{database.url}"\n'
            extra += "lake: {data_path: ./lake}\n"
        calls = "  - {name: calls, type: events, location: ./events}\nfeatures: features.yml"
        config.write_text(config.read_text().replace("features: features.yml", calls) + extra)
        lines = [
            f'{{"time":"{first_day(DAYS) + timedelta(days=n)}T10:00:00Z","provider":"openai","model":"gpt-5",'
            f'"feature":"support_chat","task_id":"t{n}","outcome":"resolved","input_tokens":10,"output_tokens":2}}'
            for n in range(DAYS)
        ]
        (folder / "events" / "calls.jsonl").write_text("\n".join(lines) + "\n")
        run(folder, now)
    return folders


@pytest.fixture(scope="module")
def restated(homes: tuple[Path, Path]) -> Path:
    """The lake's home once its bill was restated."""
    lake = homes[1]
    lines = bill_lines(first_day(DAYS), DAYS, last_factor=Decimal(2), last_days=3)
    (lake / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    run(lake, datetime.now(UTC))
    return lake


def run(folder: Path, now: datetime) -> None:
    with open_run(load_settings(folder / "trendbreak.yml"), now=now) as opened:
        run_direct(opened)
        assert not summarise(opened).failures


def published(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of what is promised to readers and of what it is made of."""
    with duckdb.connect(str(folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        tables = con.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_schema IN ('core', 'marts', 'focus') "
            "OR table_name IN ('delivery_days', 'restatements', 'settled')"
        ).fetchall()
        return {table: con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for (table,) in tables}


def comments(folder: Path) -> list[tuple[str, ...]]:
    with duckdb.connect(str(folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        return con.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name IN ('marts', 'focus') "
            "OR table_name IN ('charge_dimensions', 'charge_amounts') UNION ALL "
            "SELECT view_name, '', comment FROM duckdb_views() WHERE NOT internal UNION ALL "
            "SELECT table_name, '', comment FROM duckdb_tables() WHERE schema_name IN ('marts', 'focus') "
            "ORDER BY ALL"
        ).fetchall()


def ask(folder: Path, capfd: pytest.CaptureFixture[str], sql: str, *more: str) -> Decimal:
    capfd.readouterr()
    assert typed("query", sql, "--format", "json", "--config", folder / "trendbreak.yml", *more) == 0
    return Decimal(str(json.loads(capfd.readouterr().out, parse_float=Decimal)[0]["dollars"]))


def test_the_same_tables_are_published_as_from_a_file(homes: tuple[Path, Path]) -> None:
    file, lake = homes
    expected, found = published(file), published(lake)
    assert expected["core.usage"]
    assert expected["marts.feature_cost_daily"]
    assert found.keys() == expected.keys()
    assert [table for table in expected if found[table] != expected[table]] == []
    assert comments(lake) == comments(file)
    assert not (lake / "data" / "warehouse" / "trendbreak.duckdb").exists()
    assert not (lake / "data" / "state.sqlite").exists()
    with duckdb.connect(str(lake / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'staging'").fetchall() == [(0,)]


def test_a_query_asks_what_was_published_before(
    homes: tuple[Path, Path], restated: Path, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    import psycopg

    file, lake = homes
    assert published(lake)["marts.restatements"]
    config = lake / "trendbreak.yml"
    with psycopg.connect(database.dsn) as connection:
        moments = connection.execute(
            "SELECT snapshot_time FROM trendbreak.ducklake_snapshot JOIN trendbreak.ducklake_snapshot_changes "
            "USING (snapshot_id) WHERE commit_message = 'published' ORDER BY snapshot_id"
        ).fetchall()
    assert len(moments) >= 2
    first = moments[0][0].astimezone(UTC).isoformat()
    before, after = ask(lake, capfd, TOTAL, "--at", first), ask(lake, capfd, TOTAL)
    assert ask(file, capfd, TOTAL) == before < after
    assert ask(lake, capfd, TOTAL, "--at", f"{datetime.now(UTC):%Y-%m-%d}") == after
    for sql in (TOTAL.replace("marts.feature", "Marts.FEATURE"), TOTAL.replace("marts.", "query_table('marts.") + "')"):
        assert ask(lake, capfd, sql, "--at", first) == before
    charges = "SELECT sum(effective_cost_usd) AS dollars FROM core.charges"  # a view of two tables
    assert ask(lake, capfd, charges, "--at", first) == ask(file, capfd, charges) > 0
    assert typed("query", "month-to-date", "--at", first, "--config", config) == 0
    assert typed("query", "SELECT 1", "--at", "2020-01-01", "--config", config) == 2
    assert "the oldest snapshot that is kept is of" in capfd.readouterr().err
    assert typed("query", "SELECT 1", "--at", "yesterday", "--config", config) == 2
    assert "write 2026-11-20" in capfd.readouterr().err
    assert typed("query", "SELECT 1", "--at", first, "--config", file / "trendbreak.yml") == 2
    assert "a warehouse in a file keeps no past" in capfd.readouterr().err


def test_another_machine_brings_the_newest_snapshot_and_keeps_it_when_the_catalogue_is_gone(
    restated: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = restated
    for name in ("trendbreak.yml", "features.yml"):
        shutil.copy(lake / name, tmp_path / name)
    config = tmp_path / "trendbreak.yml"
    config.write_text(config.read_text().replace("./lake", str(lake / "lake")))
    assert ask(tmp_path, capfd, TOTAL) == ask(lake, capfd, TOTAL)
    assert published(tmp_path) == published(lake)
    assert typed("status", "--config", config) in (0, 1)
    assert typed("check", "--config", config) in (0, 1)
    said = capfd.readouterr().out
    assert "catalogue test_" in said
    config.write_text(config.read_text().replace("host=", "host=/nowhere"))
    assert ask(tmp_path, capfd, TOTAL) == ask(lake, capfd, TOTAL)


def test_a_rebuild_makes_the_same_tables_in_one_step_and_keeps_the_past(
    restated: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = restated
    config, before = lake / "trendbreak.yml", published(lake)
    with open_run(load_settings(config)) as opened:
        opened.warehouse.con.execute("DELETE FROM core.charge_amounts")  # damage
    assert typed("rebuild", "--config", config) == 0
    after = published(lake)
    assert [table for table in before if after[table] != before[table]] == []
    assert ask(lake, capfd, TOTAL, "--at", f"{datetime.now(UTC).isoformat()}") == ask(lake, capfd, TOTAL)


def test_a_rebuild_that_would_lose_what_others_landed_is_refused(
    restated: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lake, before = restated, published(restated)
    for name in ("trendbreak.yml", "features.yml"):
        shutil.copy(lake / name, tmp_path / name)
    config = tmp_path / "trendbreak.yml"
    config.write_text(config.read_text().replace("./lake", str(lake / "lake")))
    assert typed("rebuild", "--config", config) == 2  # its landing is empty
    said = capfd.readouterr().err
    assert "deliveries that were not landed in this home, such as calls (" in said
    assert "copy that home's landing folder here" in said
    with open_run(load_settings(config)) as opened:
        found = opened.warehouse.con.execute("SELECT * FROM core.charges ORDER BY ALL").fetchall()
    assert found == before["core.charges"]


def test_maintenance_drops_old_snapshots_and_no_row(restated: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lake = restated
    config = lake / "trendbreak.yml"
    before = ask(lake, capfd, TOTAL)
    said = maintain(load_settings(config))
    assert said[-1].startswith("lake: 0 snapshots older than 90 days dropped")
    assert ask(lake, capfd, TOTAL) == before
    assert typed("backup", lake / "backups", "--config", config) == 2
    said_instead = capfd.readouterr().err
    assert "back up in this order: its PostgreSQL database (`pg_dump --format=custom" in said_instead
    assert f"then its data (`cp -a {lake}/lake …`)" in said_instead
