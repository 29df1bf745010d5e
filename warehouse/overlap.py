"""The same charges twice: two exports of one account, or one bill under two file names.

Counting them twice is the most expensive mistake a cost tool can make, so it is refused, with both
names, before anything is written:

* two sources that cover the same issuer, billing account and billing period;
* two files of one source that cover the same account and period, where at least half of the
  smaller one's rows stand identically in the other. Parts of one bill share an account and a
  period too, but no rows.

Files that are equal byte by byte are no mistake to refuse: one of them is loaded.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import duckdb

from warehouse.classification import provider_slug
from warehouse.errors import OverlapError
from warehouse.landing import LandedDelivery
from warehouse.scans import Scan
from warehouse.statements import render

Covered = tuple[str | None, str, date]  # issuer, billing account, first day of the billing period


def find_copy(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery) -> str | None:
    """The scope of a loaded delivery of the same source with the same bytes; None when there is none."""
    if delivery.replaces != "scope":
        return None
    row = con.execute(
        "SELECT scope FROM ops.deliveries WHERE is_current AND replaces = 'scope' AND source_name = ? "
        "AND content_hash = ? AND scope <> ? ORDER BY load_number LIMIT 1",
        [delivery.source_name, delivery.content_hash, delivery.scope],
    ).fetchone()
    return str(row[0]) if row else None


def refuse_overlap(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, scan: Scan) -> None:
    """Compare the staged charges with what stands. Raises OverlapError naming both sources or both files."""
    staged: list[Covered] = con.execute(render("overlap/staged.sql")).fetchall()
    if not staged:
        return
    standing = con.execute(
        render("overlap/standing.sql"), {"source_name": delivery.source_name, "scope": delivery.scope}
    ).fetchall()
    by_account: dict[tuple[str, date], list[tuple[str, str, str | None]]] = {}
    for source, scope, issuer, account, period in standing:
        by_account.setdefault((account, period), []).append((source, scope, issuer))
    others: dict[str, list[tuple[str, date]]] = {}
    for issuer, account, period in staged:
        for source, scope, other_issuer in by_account.get((account, period), []):
            if not _same_issuer(issuer, other_issuer, period):
                continue
            if source != delivery.source_name:
                raise OverlapError(
                    f"billing account {account} in {period:%Y-%m} comes from the source {source!r} already",
                    where=f"source {delivery.source_name!r}, {delivery.scope}",
                    cure=f"keep one of {source!r} and {delivery.source_name!r}, or part them by account or by period",
                )
            if delivery.replaces == "scope":
                others.setdefault(scope, []).append((account, period))
    for scope, shared in sorted(others.items()):
        _refuse_same_rows(con, delivery, scan, scope, sorted(set(shared)))


def _same_issuer(one: str | None, other: str | None, day: date) -> bool:
    """Exports name one issuer in several ways; where one does not name it, the account decides."""
    if one is None or other is None or one == other:
        return True
    return provider_slug(one, day=day) == provider_slug(other, day=day)


def _refuse_same_rows(
    con: duckdb.DuckDBPyConnection,
    delivery: LandedDelivery,
    scan: Scan,
    scope: str,
    shared: list[tuple[str, date]],
) -> None:
    other = _select_of(con, delivery.source_name, scope)
    if other is None or not all(group.files for group in scan.groups):
        return
    values: dict[str, Any] = {"mine": scan.select(), "other": other, "accounts": [account for account, _ in shared]}
    try:
        row = con.execute(render("overlap/same_rows.sql", **values)).fetchone()
    except duckdb.IOException:  # the other file's landed bytes are gone: nothing to compare with
        return
    if row is None:
        return
    same, mine, theirs = (int(count or 0) for count in row)
    if same and same * 2 >= min(mine, theirs):
        account, period = shared[0]
        raise OverlapError(
            f"{same} of its {mine} rows for billing account {account} in {period:%Y-%m} stand in {scope!r} "
            f"({theirs} rows) already",
            where=f"source {delivery.source_name!r}, {delivery.scope!r}",
            cure=f"keep one of {delivery.scope!r} and {scope!r}: together they would count these charges twice",
        )


def _select_of(con: duckdb.DuckDBPyConnection, source_name: str, scope: str) -> str | None:
    """The SELECT that reads the charges of the scope's current delivery from its landed files."""
    row = con.execute(
        "SELECT scans FROM ops.deliveries WHERE is_current AND source_name = ? AND scope = ? ORDER BY load_number DESC",
        [source_name, scope],
    ).fetchone()
    if row is None or row[0] is None:
        return None
    selects = [record["select"] for record in json.loads(row[0]) if record["holds"] == "charges"]
    if not selects or any(select is None for select in selects):
        return None
    return "\nUNION ALL BY NAME\n".join(selects)
