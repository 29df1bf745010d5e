"""Telemetry into the staging file: calls and outcomes replace what their delivery said before, and are counted.

Three rules are kept here, because only the load knows what was there before and when the delivery was fetched:

    a call (or outcome) later than the fetch, with an hour for clocks that differ   left out, counted
    a call that arrives days after its own day                                      kept, counted as late
    a model that the classification does not know                                   kept, counted by its name

The others are kept by the connectors' projection; their counts arrive as rows of TELEMETRY_ISSUES.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from warehouse.classification import Sku, find_model, knows_model, provider_slug
from warehouse.errors import ReconciliationError
from warehouse.landing import LandedDelivery
from warehouse.scans import Scan
from warehouse.staged_charges import count, create_from_arrow
from warehouse.statements import render
from warehouse.store import Warehouse

if TYPE_CHECKING:
    import duckdb

CLOCK_SKEW = timedelta(hours=1)  # how far a caller's clock may run ahead of ours
LATE_AFTER_DAYS = 2  # a call is late when its source has spoken for a day that is so much newer

Issues = dict[tuple[str, str | None], int]  # (issue, detail) → occurrences


def replace_telemetry(
    wh: Warehouse, delivery: LandedDelivery, calls: Scan | None, outcomes: Scan | None, *, not_after: datetime
) -> tuple[int, Issues]:
    """Replace the delivery's calls and outcomes in the staging file, in a transaction of its own.

    Returns (rows that stand, what was found). Rows later than `not_after` plus CLOCK_SKEW are left out.
    """
    con = wh.con
    values = {
        "source_name": delivery.source_name,
        "scope": delivery.scope,
        "delivery_id": delivery.delivery_id,
        "latest": not_after + CLOCK_SKEW,
    }

    def replace() -> tuple[int, Issues]:
        issues: Issues = {}
        rows = 0
        con.execute(
            render("telemetry/old_days.sql", replaced=_replaced("called_at::DATE", delivery)),
            {"source_name": delivery.source_name},
        )
        for table, day_column in (("stg_calls", "called_at::DATE"), ("stg_outcomes", "outcome_at::DATE")):
            _remove(con, f"staging.{table}", _replaced(day_column, delivery), delivery.source_name)
        marks = render("load/replaced_marks.sql", delivery=delivery).strip()
        _remove(con, "staging.staged_deliveries", marks, delivery.source_name)
        if calls is not None:
            name_models(con, calls.select(), "provider", delivery.window_start)
            con.execute(render("load/insert_calls.sql", scan=calls.select()), values)
            rows += _check_rows(con, delivery, calls, "called_at", values["latest"], issues)
            _count_late(con, delivery, issues)
            _count_unknown_models(con, delivery, issues)
        if outcomes is not None:
            con.execute(render("load/insert_outcomes.sql", scan=outcomes.select()), values)
            rows += _check_rows(con, delivery, outcomes, "outcome_at", values["latest"], issues)
        con.execute(
            "INSERT INTO staging.staged_deliveries VALUES (?, ?, ?, ?, ?, ?)",
            [
                delivery.source_name,
                delivery.scope,
                delivery.delivery_id,
                delivery.window_start,
                delivery.window_end,
                rows,
            ],
        )
        return rows, issues

    rows, issues = wh.commit(replace)
    con.execute(render("load/drop_temporary.sql", table="old_call_days"))
    return rows, issues


def record_issues(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, told: Scan | None, found: Issues) -> None:
    """Within the load's transaction: keep what the connector told and what the load found, per issue and detail."""
    con.execute("DELETE FROM ops.telemetry_deliveries WHERE delivery_id = ?", [delivery.delivery_id])
    if told is not None:
        con.execute(
            render("telemetry/insert_told.sql", scan=told.select()),
            {"delivery_id": delivery.delivery_id, "source_name": delivery.source_name},
        )
    for (issue, detail), occurrences in sorted(found.items(), key=str):
        con.execute(
            "INSERT INTO ops.telemetry_deliveries VALUES (?, ?, ?, ?, ?)",
            [delivery.delivery_id, delivery.source_name, issue, detail, occurrences],
        )


def name_models(con: duckdb.DuckDBPyConnection, rows: str, provider: str, day: date) -> None:
    """Make temp table canonical_names: provider and model as telemetry writes them → the names that charges have."""
    seen = con.execute(render("load/seen_names.sql", scan=rows, provider=provider)).fetchall()
    names = {
        "provider": [row[0] for row in seen],
        "model": [row[1] for row in seen],
        "canonical_provider": [provider_slug(row[0], day=day) for row in seen],
        "canonical_model": [find_model(Sku(None, model=row[1]), day) for row in seen],
    }
    create_from_arrow(
        con, "canonical_names", pa.table({name: pa.array(cells, pa.string()) for name, cells in names.items()})
    )


def _remove(con: duckdb.DuckDBPyConnection, table: str, condition: str, source_name: str) -> None:
    con.execute(render("load/remove.sql", table=table, replaced=condition), {"source_name": source_name})


def _replaced(day_column: str, delivery: LandedDelivery) -> str:
    return render(
        "load/replaced.sql",
        by=delivery.replaces,
        day_column=day_column,
        scope=delivery.scope,
        window_start=delivery.window_start,
        window_end=delivery.window_end,
    ).strip()


def _check_rows(
    con: duckdb.DuckDBPyConnection,
    delivery: LandedDelivery,
    scan: Scan,
    moment: str,
    latest: object,
    issues: Issues,
) -> int:
    """Every row of the scan stands, or was left out because it lies in the future."""
    table = "staging.stg_calls" if moment == "called_at" else "staging.stg_outcomes"
    standing = count(con, render("telemetry/standing.sql", table=table), delivery.delivery_id)
    row = con.execute(render("telemetry/scanned.sql", scan=scan.select(), moment=moment), [latest]).fetchone()
    rows, future = row or (0, 0)
    footer_rows = scan.parquet_rows(con)
    if standing != rows - future or (footer_rows is not None and rows != footer_rows):
        raise ReconciliationError(f"{standing} rows were read of {footer_rows or rows}", where=scan.where())
    if future:
        issues["in_the_future", None if moment == "called_at" else "outcome"] = future
    return standing


def _count_late(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, issues: Issues) -> None:
    late = count(
        con,
        render("telemetry/late.sql", late_after_days=LATE_AFTER_DAYS),
        delivery.delivery_id,
    )
    if late:
        issues["late", None] = late


def _count_unknown_models(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, issues: Issues) -> None:
    for model, calls in con.execute(
        "SELECT model, count(*) FROM staging.stg_calls WHERE delivery_id = ? AND model IS NOT NULL GROUP BY model",
        [delivery.delivery_id],
    ).fetchall():
        if not knows_model(model, delivery.window_start):
            issues["unknown_model", model] = calls
