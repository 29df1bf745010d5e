"""Closed months: their figures stay, and what changes of them later is booked in the month that is open then.

The state store keeps what was closed and what was booked since (a rebuild of the warehouse keeps it so); a
build reads both, books what is new, and proves

    Σ core.allocations of a closed month = Σ closed + Σ its corrections

per source and currency, to the last digit. core.allocations, and all daily series, go on to say what the
charges and the rules say today: only months are books.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.statements import render

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEASURES = ("billed_cost", "effective_cost", "list_cost", "billed_cost_usd", "effective_cost_usd", "list_cost_usd")
TABLES = ("closed_months", "closed_costs", "corrections", "invoices")


class BooksError(WarehouseError):
    """The month cannot be closed; the text says why."""


def no_books() -> dict[str, pa.Table]:
    """The tables of a state store in which nothing is closed."""
    from warehouse.state import empty_tables

    return empty_tables(TABLES)


def write_books(con: duckdb.DuckDBPyConnection, books: Mapping[str, pa.Table]) -> None:
    """Replace core.closed_months, core.closed_costs, core.corrections and core.invoices by the state store's tables."""
    for name in TABLES:
        con.register("_books", books[name])
        con.execute(render("books/write.sql", table=name))
        con.unregister("_books")


def book_corrections(
    con: duckdb.DuckDBPyConnection, *, as_of: date, now: datetime, moved: Collection[date]
) -> list[dict[str, Any]]:
    """Book what closed months say now and did not when they were closed; the rows, for the state store.

    `moved`: months in which a change of the rules moves a cost.
    """
    result = con.execute(
        render("books/new_corrections.sql", measures=MEASURES), {"moved": [str(month) for month in sorted(moved)]}
    )
    names = [column[0] for column in result.description]
    rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    booked_month = _open_month(con, as_of)
    for row in rows:
        row |= {"recorded_at": now, "booked_month": booked_month}
        con.execute(render("books/insert_correction.sql", columns=list(row)), row)
    return rows


def freeze_month(con: duckdb.DuckDBPyConnection, month: date) -> list[dict[str, Any]]:
    """What core.allocations says of the month, for the state store."""
    result = con.execute(render("books/freeze.sql", measures=MEASURES), {"month": month})
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def check_closable(con: duckdb.DuckDBPyConnection, month: date, *, force: bool) -> None:
    """Raises BooksError for a month that is closed already, has no charge, or may still change by itself."""
    closed = con.execute("SELECT closed_at, who FROM core.closed_months WHERE month = ?", [month]).fetchone()
    if closed is not None:
        raise BooksError(
            f"is closed already, since {closed[0]:%Y-%m-%d} by {closed[1]}",
            where=f"{month:%Y-%m}",
            cure="later changes of it are Corrections: `trendbreak query corrections`",
        )
    row = con.execute(
        "SELECT count(*), count(*) FILTER (WHERE NOT is_complete), "
        "string_agg(feature, ', ' ORDER BY feature) FILTER (WHERE NOT is_complete) "
        "FROM marts.feature_cost_monthly WHERE month = ?",
        [month],
    ).fetchone()
    count, open_features, names = row or (0, 0, "")
    if not count:
        raise BooksError("has no charges: there is nothing to close", where=f"{month:%Y-%m}")
    if open_features and not force:
        raise BooksError(
            f"is not settled yet for {names}",
            where=f"{month:%Y-%m}",
            cure="close it when `trendbreak status` shows all sources settled beyond it, or now with --force",
        )


def _open_month(con: duckdb.DuckDBPyConnection, as_of: date) -> date:
    closed = {row[0] for row in con.execute("SELECT month FROM core.closed_months").fetchall()}
    month = as_of.replace(day=1)
    while month in closed:
        month = (month + timedelta(days=32)).replace(day=1)
    return month
