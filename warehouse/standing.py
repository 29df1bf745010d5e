"""What stands for a source, and how it gives way: removed, its totals kept, each changed past total recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import duckdb

from warehouse.statements import render

SUPERSEDED_TOTALS_DAYS = 90  # how long a superseded delivery's control totals stay
GROUPS_PER_DELIVERY = 2**31  # numbers of dimensions that a delivery has, so that 2**32 places fit into a BIGINT


class ClaimLike(Protocol):
    """Which of a source's rows are meant: those of a scope, or those of a window of days (end exclusive)."""

    @property
    def source_name(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def replaces(self) -> str: ...
    @property
    def window_start(self) -> date: ...
    @property
    def window_end(self) -> date: ...
    @property
    def delivery_id(self) -> str: ...


@dataclass(frozen=True)
class Claim:
    """One claim; `delivery_id` is what restatements name as their cause."""

    source_name: str
    scope: str
    replaces: str
    window_start: date
    window_end: date
    delivery_id: str


def claim_of_scope(con: duckdb.DuckDBPyConnection, source_name: str, scope: str) -> Claim | None:
    """What the scope's current delivery claims; None where none speaks."""
    row = con.execute(
        "SELECT window_start, window_end, delivery_id FROM ops.deliveries WHERE is_current AND replaces = 'scope' "
        "AND source_name = ? AND scope = ? ORDER BY load_number DESC",
        [source_name, scope],
    ).fetchone()
    return Claim(source_name, scope, "scope", *row) if row else None


def condition(day_column: str, claim: ClaimLike) -> str:
    """SQL for which of the source's rows the claim is for."""
    return render(
        "load/replaced.sql",
        by=claim.replaces,
        day_column=day_column,
        scope=claim.scope,
        window_start=claim.window_start,
        window_end=claim.window_end,
    ).strip()


def keep_old_days(con: duckdb.DuckDBPyConnection, claims: Iterable[ClaimLike]) -> None:
    """Make temp table old_days: the control totals that are about to go. The claims are of one source."""
    claims = list(claims)
    replaced = " OR ".join(f"({condition('charge_date', claim)})" for claim in claims)
    con.execute(render("load/old_days.sql", replaced=f"({replaced})"), {"source_name": claims[0].source_name})


def remove_charges(con: duckdb.DuckDBPyConnection, claim: ClaimLike, now: datetime) -> None:
    """Take the charges out of core; their control totals stay, superseded, for 90 days; those of a month
    with an invoice for good."""
    _remove_rows(con, claim)
    con.execute(
        render("load/supersede_days.sql", replaced=condition("charge_date", claim)),
        {"source_name": claim.source_name, "superseded_at": now},
    )
    known = con.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'core' AND table_name = 'invoices'")
    prune = render("load/prune_days.sql", has_invoices=known.fetchone() is not None)
    con.execute(prune, {"keep_after": now - timedelta(days=SUPERSEDED_TOTALS_DAYS)})


def _remove_rows(con: duckdb.DuckDBPyConnection, claim: ClaimLike) -> None:
    """The amounts, and the dimensions that none are left of."""
    named = {"source_name": claim.source_name}
    replaced = {"by": claim.replaces, "replaced": condition("charge_date", claim)}
    places: list[tuple[int, int]] = []
    if claim.replaces == "window":
        # A delivery's numbers lie side by side: only where it had amounts is looked for what is left.
        touched = con.execute(render("load/touched_places.sql", **replaced, size=GROUPS_PER_DELIVERY), named).fetchall()
        places = [(place * GROUPS_PER_DELIVERY, (place + 1) * GROUPS_PER_DELIVERY - 1) for (place,) in touched]
    con.execute(render("load/remove_charge_amounts.sql", **replaced), named)
    if claim.replaces == "scope":
        con.execute(render("load/remove_charge_dimensions.sql", **replaced), named)
    for first, last in places:
        con.execute(render("load/remove_bare_dimensions.sql", first=first, last=last), named)


def remove(con: duckdb.DuckDBPyConnection, table: str, day_column: str, claim: ClaimLike) -> None:
    con.execute(
        render("load/remove.sql", table=table, replaced=condition(day_column, claim)),
        {"source_name": claim.source_name},
    )


def record_restatements(
    con: duckdb.DuckDBPyConnection, claim: ClaimLike, now: datetime, *, are_parts: bool = False
) -> int:
    """Compare temp tables staged_days and old_days; each past total that changed is a row. Returns how many.

    `are_parts`: the source's deliveries are parts of one bill, of which several tell of one day.
    """
    row = con.execute(
        render("load/insert_restatements.sql", by="parts" if are_parts else claim.replaces),
        {"source_name": claim.source_name, "delivery_id": claim.delivery_id, "recorded_at": now},
    ).fetchone()
    return int(row[0]) if row else 0


def supersede(con: duckdb.DuckDBPyConnection, claim: ClaimLike) -> None:
    """Earlier deliveries of the scope, or of windows within this one, no longer speak."""
    con.execute(
        render("load/supersede_deliveries.sql"),
        {
            "source_name": claim.source_name,
            "scope": claim.scope,
            "delivery_id": claim.delivery_id,
            "replaces": claim.replaces,
            "window_start": claim.window_start,
            "window_end": claim.window_end,
        },
    )


def take_back(con: duckdb.DuckDBPyConnection, claim: ClaimLike, now: datetime, *, are_parts: bool = False) -> int:
    """Within a transaction: all that the claim's deliveries brought goes. Returns the past totals that changed.

    `are_parts`: as for record_restatements; what other parts tell of a day stays in its total.
    """
    con.execute(render("load/no_days.sql"))
    keep_old_days(con, [claim])
    remove_charges(con, claim, now)
    remove(con, "core.metered_usage", "usage_date", claim)
    restated = record_restatements(con, claim, now, are_parts=are_parts)
    supersede(con, claim)
    return restated
