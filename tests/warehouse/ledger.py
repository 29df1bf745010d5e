"""A small warehouse in memory, with charges and calls written by hand and vouched for by a delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from warehouse.books import no_books
from warehouse.build import BuildResult, build
from warehouse.commitments import Commitment
from warehouse.features import Features
from warehouse.prices import PriceBook
from warehouse.statements import render
from warehouse.store import MIGRATIONS, Warehouse

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TODAY = date(2026, 6, 1)

_DEFAULTS: Mapping[str, Any] = {
    "source_name": "bill",
    "source_type": "focus_files",
    "scope": "2026",
    "delivery_id": "d1",
    "charge_date": date(2026, 3, 1),
    "billing_account_id": "acct",
    "invoice_issuer_name": "OpenAI",
    "provider_name": "OpenAI",
    "provider": "openai",
    "service_name": "OpenAI API",
    "charge_category": "Usage",
    "ai_kind": "llm_api",
    "workload": "inference",
    "billing_currency": "USD",
    "basis": "reported",
    "source_rows": 1,
}


def new_warehouse(home: Path = Path("unused")) -> Warehouse:
    """An empty warehouse in memory, migrated as a real one is."""
    con = duckdb.connect(":memory:", config={"threads": 1, "preserve_insertion_order": False})
    con.execute("SET TimeZone = 'UTC'")
    con.execute("ATTACH ':memory:' AS staging")
    con.execute(render("store/staging_tables.sql"))
    for path in sorted(MIGRATIONS.glob("*.sql")):
        con.execute(path.read_text(encoding="utf-8"))
    return Warehouse(con, home)


def charge(cost: Any = None, **dimensions: Any) -> dict[str, Any]:
    """A row of core.charges. `cost` stands for every measure of money that is not given; None is unknown."""
    money = None if cost is None else Decimal(str(cost))
    row = {**_DEFAULTS, **dimensions}
    for measure in ("billed_cost", "effective_cost", "list_cost"):
        row.setdefault(measure, money)
        if row["billing_currency"] == "USD":
            row.setdefault(f"{measure}_usd", row[measure])
    return row


def add_charges(wh: Warehouse, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows of `charge` and the control totals that a delivery would have left."""
    wh.con.execute("CREATE OR REPLACE TEMP TABLE written AS FROM core.charges LIMIT 0")
    insert_rows(wh.con, "written", rows)
    insert_charges(wh.con, "FROM written")
    wh.con.execute("DROP TABLE written")
    wh.con.execute("DELETE FROM ops.delivery_days")
    wh.con.execute(
        """
        INSERT INTO ops.delivery_days BY NAME
        SELECT
            delivery_id, 1 AS load_number, source_name, scope, charge_date, billing_currency, basis, TRUE AS is_current,
            sum(source_rows) AS source_rows, sum(billed_cost) AS billed_cost,
            sum(effective_cost) AS effective_cost, sum(list_cost) AS list_cost
        FROM core.charges GROUP BY ALL
        """
    )


def insert_charges(con: duckdb.DuckDBPyConnection, select: str) -> None:
    """Insert what a SELECT of columns of core.charges answers, each row with dimensions of its own."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE wide AS SELECT row_number() OVER () + (SELECT coalesce(max(charge_group), 0) "
        f"FROM core.charge_dimensions) AS charge_group, FALSE AS is_shadow, * "
        f"FROM ((FROM core.charges LIMIT 0) UNION ALL BY NAME {select})"
    )
    for table in ("core.charge_dimensions", "core.charge_amounts"):
        columns = ", ".join(row[0] for row in con.execute(f"DESCRIBE {table}").fetchall())
        con.execute(f"INSERT INTO {table} BY NAME SELECT {columns} FROM wide")
    con.execute("DROP TABLE wide")


def add_calls(wh: Warehouse, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert calls into staging.stg_calls."""
    defaults = {
        "source_name": "calls",
        "scope": "calls",
        "delivery_id": "c1",
        "provider": "openai",
        "model": "gpt-5",
        "attempt": 1,
        "status": "ok",
        "input_tokens": 100,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 10,
        "reasoning_tokens": 0,
    }
    insert_rows(wh.con, "staging.stg_calls", [{**defaults, **row} for row in rows])


def build_marts(
    wh: Warehouse,
    features: Features,
    *,
    settled_through: Mapping[str, date] | None = None,
    due_through: Mapping[str, date] | None = None,
    settle_days: Mapping[str, int] | None = None,
    invoices: Iterable[Mapping[str, Any]] = (),
    commitments: Iterable[Mapping[str, Any]] = (),
    prices: PriceBook | None = None,
    run_id: str = "run-1",
) -> BuildResult:
    """The real build: allocate, models, checks, reconciliation."""
    settled = {"bill": TODAY} if settled_through is None else settled_through
    return build(
        wh,
        features=features,
        run_id=run_id,
        now=NOW,
        as_of=TODAY,
        settled_through=settled,
        due_through=due_through,
        settle_days=settle_days,
        prices=prices,
        books=books_of(invoices),
        commitments=[Commitment(**{"valid_to": None, **row}) for row in commitments],
    )


def books_of(invoices: Iterable[Mapping[str, Any]]) -> dict[str, pa.Table]:
    """The state store's tables with nothing but these invoices: source_name, month, billed_cost, and what differs."""
    plain = {"billing_account_id": "", "billing_currency": "USD", "recorded_at": NOW, "who": "ann"}
    rows = [{**plain, **row} for row in invoices]
    for row in rows:
        row["billed_cost"] = Decimal(str(row["billed_cost"])).quantize(Decimal(1).scaleb(-12))
        if isinstance(row["recorded_at"], str):
            row["recorded_at"] = datetime.fromisoformat(row["recorded_at"])
    empty = no_books()
    return {**empty, "invoices": pa.Table.from_pylist(rows, schema=empty["invoices"].schema)}


def rows_of(con: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
    """The result as dicts."""
    result = con.execute(sql, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows of which each names the columns that it has."""
    rows = list(rows)
    if not rows:
        return
    types = {row[0]: row[1] for row in con.execute(f"DESCRIBE {table}").fetchall()}
    names = sorted({name for row in rows for name in row})
    unknown = set(names) - set(types)
    assert not unknown, f"{table} has no {unknown}"
    arrays = {name: pa.array([_plain(row.get(name)) for row in rows]) for name in names}
    con.register("_rows", pa.table(arrays))
    casts = ", ".join(f'"{name}"::{types[name]} AS "{name}"' for name in names)
    con.execute(f"INSERT INTO {table} BY NAME SELECT {casts} FROM _rows")
    con.unregister("_rows")


def _plain(value: Any) -> str | None:
    return None if value is None else str(value)
