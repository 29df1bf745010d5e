"""The same charges twice: two exports of one account, or one bill under two file names.

Counting them twice is the most expensive mistake a cost tool can make, so it is refused, with both
names, before anything is written:

* two sources that cover the same issuer, billing account and billing period;
* two files of one source that speak of the same rows on the days that both have, whatever amounts
  they give them: a restated bill beside the one it restates. Parts of one bill share account and
  period too, but no rows. Partitions of one table are never compared: a row lies in one of them, and what is
  written of a day tomorrow looks like what was written of it today.

A file that is gone from its folder gives way to the one that speaks of its rows. Files that are equal
byte by byte are no mistake to refuse: one of them is loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from warehouse.classification import provider_slug
from warehouse.errors import OverlapError
from warehouse.landing import LandedDelivery
from warehouse.scans import Scan
from warehouse.statements import render

# What tells one row of a bill from another. Amounts are restated; so are, at times, tags and texts.
IDENTITY = (
    "charge_date",
    "charged_from",
    "charged_until",
    "billing_account_id",
    "sub_account_id",
    "service_name",
    "sku_id",
    "sku_meter",
    "region_id",
    "resource_id",
    "api_key_id",
    "charge_category",
    "charge_class",
    "commitment_discount_status",
    "billing_currency",
)
TEXTS = ("charge_description", "raw_tags")
# What core keeps of it, as the source wrote it, where no file is there to be read again.
KEPT = (
    "charge_date",
    "billing_account_id",
    "sub_account_id",
    "service_name",
    "sku_id",
    "sku_meter",
    "api_key_id",
    "charge_category",
    "charge_class",
    "billing_currency",
)
AMOUNTS = ("billed_cost", "effective_cost", "list_cost", "consumed_quantity")
A_KEY = 0.9  # with so many distinct identities per row, the identity is the row's key
THE_SAME = 0.8  # where it is none: so many identities with the same number of rows make it the same bill


@dataclass(frozen=True)
class Neighbours:
    """What a load is to know of other bills.

    `configured`: the sources that trendbreak.yml names (None: all that stand). `apart`: sources whose own
    since/until keep them off this one's days. `vanished`: scopes of this source whose file is gone. `is_shadow`:
    this source is compared with the others and not counted. `are_parts`: this source's own deliveries are
    partitions of one table, and none says what another says.
    """

    configured: frozenset[str] | None = None
    apart: frozenset[str] = frozenset()
    vanished: frozenset[str] = frozenset()
    is_shadow: bool = False
    are_parts: bool = False


ALONE = Neighbours()


@dataclass(frozen=True)
class _Standing:
    source_name: str
    scope: str
    issuer: str | None
    account: str | None
    period: date


def find_copy(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, neighbours: Neighbours) -> str | None:
    """The scope of a loaded delivery of the same source with the same bytes; None when there is none.

    A file that is gone has no copy: the same bytes under another name are the file, renamed.
    """
    if delivery.replaces != "scope" or neighbours.are_parts:
        return None
    rows = con.execute(
        "SELECT scope FROM ops.deliveries WHERE is_current AND replaces = 'scope' AND source_name = ? "
        "AND content_hash = ? AND scope <> ? ORDER BY load_number",
        [delivery.source_name, delivery.content_hash, delivery.scope],
    ).fetchall()
    return next((str(scope) for (scope,) in rows if scope not in neighbours.vanished), None)


def settle_overlap(
    con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, scan: Scan, neighbours: Neighbours
) -> list[str]:
    """Compare the staged charges with what stands. Returns the vanished scopes that give way to this delivery.

    Raises OverlapError naming both sources or both files, and what to do.
    """
    refuse_other_sources(con, delivery.source_name, delivery.scope, neighbours)
    scopes: dict[str, tuple[str | None, date]] = {}
    if delivery.replaces == "scope" and not neighbours.are_parts:
        for other, account in _shared_bills(con, delivery.source_name, delivery.scope):
            if other.source_name == delivery.source_name:
                scopes.setdefault(other.scope, (account, other.period))
    gone = []
    for scope, (account, period) in sorted(scopes.items()):
        told = _same_rows(con, delivery, scan, scope)
        if told is None:
            continue
        if scope not in neighbours.vanished:
            raise OverlapError(
                f"{told} for billing account {account} in {period:%Y-%m} stand in {scope!r} already",
                where=f"source {delivery.source_name!r}, {delivery.scope!r}",
                cure=f"together they would count these charges twice: remove {scope!r} where {delivery.scope!r} "
                "corrects it, and run again; or remove the other one; parts of one bill go into one file",
            )
        gone.append(scope)
    return gone


def refuse_other_sources(con: duckdb.DuckDBPyConnection, source_name: str, scope: str, neighbours: Neighbours) -> None:
    """Raises OverlapError where a staged bill stands under another source that counts on the same days."""
    if neighbours.is_shadow:
        return
    for other, account in _shared_bills(con, source_name, scope):
        if other.source_name != source_name and other.source_name not in neighbours.apart:
            raise _two_sources(source_name, scope, other, account, neighbours)


def _shared_bills(con: duckdb.DuckDBPyConnection, source_name: str, scope: str) -> list[tuple[_Standing, str | None]]:
    """(what stands elsewhere, the account as the staged bill names it) of every bill that is there already."""
    staged = con.execute(render("overlap/staged.sql")).fetchall()
    if not staged:
        return []
    values = {"source_name": source_name, "scope": scope}
    standing = [_Standing(*row) for row in con.execute(render("overlap/standing.sql"), values).fetchall()]
    return [
        (other, account)
        for issuer, account, period in staged
        for other in standing
        if other.period == period and _same_bill(issuer, account, other)
    ]


def _two_sources(mine: str, scope: str, other: _Standing, account: str | None, neighbours: Neighbours) -> OverlapError:
    theirs = other.source_name
    if account is None or other.account is None:
        what = f"a bill of {other.issuer} without an account in {other.period:%Y-%m}"
    else:
        what = f"billing account {account} in {other.period:%Y-%m}"
    if neighbours.configured is not None and theirs not in neighbours.configured:
        cure = (
            f"trendbreak.yml no longer names {theirs!r}, and its charges stand: `trendbreak rename {theirs} {mine}` "
            f"keeps them under the new name, `trendbreak forget {theirs}` takes them out"
        )
    elif account is None or other.account is None:
        cure = (
            f"keep one of {theirs!r} and {mine!r}; where they are two organizations, give each its `organization`; "
            "or part them by since and until, or set `role: shadow` for one"
        )
    else:
        cure = f"keep one of {theirs!r} and {mine!r}, part them by since and until, or set `role: shadow` for one"
    return OverlapError(
        f"{what} comes from the source {theirs!r} already", where=f"source {mine!r}, {scope}", cure=cure
    )


def _same_bill(issuer: str | None, account: str | None, other: _Standing) -> bool:
    """Exports name one issuer in several ways; where one does not name it, the account decides, and the reverse."""
    if account is not None and other.account is not None:
        if account != other.account:
            return False
        if issuer is None or other.issuer is None:
            return True
    elif issuer is None or other.issuer is None:
        return False
    return issuer == other.issuer or (
        provider_slug(issuer, day=other.period) == provider_slug(other.issuer, day=other.period)
    )


def _same_rows(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, scan: Scan, scope: str) -> str | None:
    """Where the other file speaks of the same rows: how many, in words. None where it does not."""
    if not con.execute(
        render("overlap/common_days.sql"), {"source_name": delivery.source_name, "scope": scope}
    ).fetchall():
        return None
    other = _select_of(con, delivery.source_name, scope)
    pair = {"mine": scan.select(), "other": other, "source_name": delivery.source_name, "scope": scope}
    if other is not None and all(group.files for group in scan.groups):
        try:
            return _compare_files(con, pair)
        except duckdb.IOException:  # the other file's landed bytes are gone
            pass
    pair["other"] = render("overlap/kept.sql", source_name=delivery.source_name, scope=scope)
    shared, _, mine, theirs, my_rows, their_rows = _figures(con, pair, KEPT)
    if shared and shared >= THE_SAME * min(mine, theirs):
        return f"{shared} of its {mine} kinds of charges ({my_rows} rows; {their_rows} there)"
    return None


def _compare_files(con: duckdb.DuckDBPyConnection, pair: dict[str, Any]) -> str | None:
    for columns in ((*IDENTITY, *TEXTS), IDENTITY):
        shared, equal, distinct, their_distinct, rows, their_rows = _figures(con, pair, columns)
        if distinct >= A_KEY * rows and their_distinct >= A_KEY * their_rows:
            if shared and shared * 2 >= min(distinct, their_distinct):
                return f"{shared} of its {rows} rows ({their_rows} there, perhaps with other amounts)"
        elif equal and equal >= THE_SAME * min(distinct, their_distinct):
            return f"{equal} of its {distinct} kinds of rows ({rows} rows; {their_rows} there)"
    # Rows that nothing but their amounts tells apart.
    same, _, _, _, rows, their_rows = _figures(con, pair, (*IDENTITY, *TEXTS, *AMOUNTS), count_rows=True)
    if same and same * 2 >= min(rows, their_rows):
        return f"{same} of its {rows} rows ({their_rows} there)"
    # One of the two lacks columns of the other (an export of an older version): what both say, and what it costs.
    common = _common_columns(con, pair)
    if len(common) < len(IDENTITY) + len(AMOUNTS):
        same, _, _, _, rows, their_rows = _figures(con, pair, common, count_rows=True, only_paid=True)
        if same and same >= THE_SAME * min(rows, their_rows):
            return f"{same} of its {rows} rows that cost something ({their_rows} there)"
    return None


def _common_columns(con: duckdb.DuckDBPyConnection, pair: dict[str, Any]) -> tuple[str, ...]:
    """The columns, texts apart, in which both files have values, or neither has."""
    columns = (*IDENTITY, *AMOUNTS)
    [mine], [theirs] = (
        con.execute(render("overlap/has_values.sql", scan=pair[side], columns=columns)).fetchall()
        for side in ("mine", "other")
    )
    return tuple(name for name, one, other in zip(columns, mine, theirs, strict=True) if one == other)


def _figures(
    con: duckdb.DuckDBPyConnection,
    pair: dict[str, Any],
    columns: tuple[str, ...],
    *,
    count_rows: bool = False,
    only_paid: bool = False,
) -> tuple[int, int, int, int, int, int]:
    """(shared, shared with equal numbers of rows, mine, theirs: distinct identities; my rows, their rows).

    `count_rows`: of what is shared the rows, one for one. `only_paid`: without rows that cost nothing.
    """
    values = {"columns": columns, "amounts": AMOUNTS, "count_rows": count_rows, "only_paid": only_paid}
    row = con.execute(render("overlap/same_rows.sql", **pair, **values)).fetchone()
    assert row is not None
    shared, equal, my_distinct, their_distinct, my_rows, their_rows = (int(cell or 0) for cell in row)
    return shared, equal, my_distinct, their_distinct, my_rows, their_rows


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
