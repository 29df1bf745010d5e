"""A home of any earlier version opens with this program, and holds everything that it held.

A version is made as it was made: by the migrations up to its number. Every table gets a row by the types of its
columns, so that a migration which loses, renames or narrows anything fails here.
"""

import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from flows.run import open_run
from flows.settings import load_settings
from flows.steps.direct import run_direct
from flows.summary import summarise
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from warehouse import state as state_module
from warehouse import store
from warehouse.state import StateStore
from warehouse.store import newest_migration, open_warehouse

WAREHOUSE_VERSIONS = range(1, newest_migration() + 1)
STATE_VERSIONS = range(1, len(list(state_module.MIGRATIONS.glob("*.sql"))) + 1)
OLD = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "VARCHAR": "kept", "DATE": date(2026, 1, 31), "BOOLEAN": True, "TIMESTAMP WITH TIME ZONE": OLD, "TIMESTAMP": OLD,
    "JSON": '{"kept": 1}', "VARCHAR[]": ["kept"], "DOUBLE": 1.5,
}  # fmt: skip


def first(migrations: Path, count: int, folder: Path) -> Path:
    """A folder with the migrations of version `count`."""
    folder.mkdir()
    for path in sorted(migrations.glob("*.sql"))[:count]:
        shutil.copy(path, folder)
    return folder


def value_of(kind: str) -> Any:
    if kind.startswith("DECIMAL"):
        return Decimal("12.5")
    return VALUES.get(kind, 7)


def fill(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[str]]:
    """A row in every table of the warehouse; (schema, table) → its columns."""
    found: dict[tuple[str, str], list[str]] = {}
    kinds: dict[tuple[str, str], list[str]] = {}
    for schema, table, column, kind in con.execute(
        "SELECT c.schema_name, c.table_name, c.column_name, c.data_type FROM duckdb_columns() AS c "
        "JOIN duckdb_tables() AS t USING (database_name, schema_name, table_name) "
        "WHERE c.database_name = current_database() AND table_name <> 'migrations' ORDER BY ALL"
    ).fetchall():
        found.setdefault((schema, table), []).append(column)
        kinds.setdefault((schema, table), []).append(kind)
    for (schema, table), columns in found.items():
        names = ", ".join(f'"{column}"' for column in columns)
        marks = ", ".join(f"CAST(? AS {kind})" for kind in kinds[schema, table])
        values = [value_of(kind) for kind in kinds[schema, table]]
        con.execute(f'INSERT INTO "{schema}"."{table}" ({names}) SELECT {marks}', values)
    return found


def read(con: duckdb.DuckDBPyConnection, tables: dict[tuple[str, str], list[str]]) -> dict[tuple[str, str], Any]:
    return {
        (schema, table): con.execute(
            f'SELECT {", ".join(chr(34) + column + chr(34) for column in columns)} FROM "{schema}"."{table}"'
        ).fetchall()
        for (schema, table), columns in tables.items()
    }


@pytest.mark.parametrize("version", WAREHOUSE_VERSIONS)
def test_a_warehouse_of_every_version_keeps_every_value(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(store, "MIGRATIONS", first(store.MIGRATIONS, version, tmp_path / "migrations"))
        with open_warehouse(tmp_path / "home") as old:
            tables = fill(old.con)
            before = read(old.con, tables)
    assert len(tables) >= 5
    with open_warehouse(tmp_path / "home") as upgraded:
        assert read(upgraded.con, tables) == before
        versions = upgraded.con.execute("SELECT version FROM ops.migrations ORDER BY version").fetchall()
        assert [row[0] for row in versions] == list(WAREHOUSE_VERSIONS)


@pytest.mark.parametrize("version", STATE_VERSIONS)
def test_a_state_store_of_every_version_keeps_every_value(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    with monkeypatch.context() as patched:
        patched.setattr(state_module, "MIGRATIONS", first(state_module.MIGRATIONS, version, tmp_path / "migrations"))
        StateStore(url).create()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    found = sa.MetaData()
    with engine.begin() as connection:
        found.reflect(connection)
        tables = [table for table in found.sorted_tables if table.name != "migrations"]
        for table in tables:
            kept = {
                c.name: 7 if isinstance(c.type, sa.Integer) else 0.5 if _is_float(c) else "kept" for c in table.columns
            }
            connection.execute(table.insert().values(**kept))
        before = {table.name: connection.execute(sa.select(table)).fetchall() for table in tables}
    StateStore(url).create()
    with engine.connect() as connection:
        assert {table.name: connection.execute(sa.select(table)).fetchall() for table in tables} == before


def _is_float(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.Float)


def test_a_home_of_the_first_version_takes_the_next_run_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_small_home(tmp_path)
    settings = load_settings(config)
    settings.home.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(store, "MIGRATIONS", first(store.MIGRATIONS, 1, tmp_path / "w1"))
        patched.setattr(state_module, "MIGRATIONS", first(state_module.MIGRATIONS, 1, tmp_path / "s1"))
        with open_warehouse(settings.home):
            pass
        old = StateStore(settings.state_url)
        old.create()
        old.set_watermark("before", "the upgrade", OLD)
    with open_run(settings) as run:
        run_direct(run)
        assert not summarise(run).failures
        (total,) = run.warehouse.con.execute("SELECT sum(billed_cost) FROM core.charges").fetchall()
        assert run.state.watermarks()["before"] == "the upgrade"
    assert total[0] == sum(Decimal(line.split(",")[0]) for line in bill_lines(first_day(), 60)[1:])
