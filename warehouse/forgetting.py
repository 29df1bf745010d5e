"""What a person takes out of the warehouse or gives another name: a source, or one of its deliveries."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb

from warehouse.errors import LoadError
from warehouse.landing import MANIFEST
from warehouse.standing import Claim, claim_of_scope, take_back
from warehouse.statements import render
from warehouse.store import Warehouse
from warehouse.terms import bring_back, is_aside, move_aside

# What holds rows of a source, beside ops.delivery_days and ops.deliveries, which stay as history.
_BY_SOURCE = ("core.metered_hours", "ops.histories", "ops.settled")


@dataclass(frozen=True)
class Standing:
    """What stands for a source, or for one of its deliveries. `costs`: billed cost per currency."""

    source_name: str
    source_type: str
    scopes: tuple[str, ...]
    first_day: date | None
    last_day: date | None
    source_rows: int
    costs: tuple[tuple[str, Decimal], ...]

    def __str__(self) -> str:
        if not self.costs:
            return "no charges"
        sums = " + ".join(f"{cost.normalize():f} {currency}" for currency, cost in self.costs)
        return f"{sums} of {self.first_day} to {self.last_day}"


def read_standing(wh: Warehouse, source_name: str, scope: str | None = None) -> Standing | None:
    """What stands under the name; None where nothing does."""
    con = wh.con
    values = {"source_name": source_name, "scope": scope}
    found = con.execute(render("forget/deliveries.sql"), values).fetchall()
    if not found:
        return None
    totals = con.execute(render("forget/totals.sql"), values).fetchall()
    return Standing(
        source_name=source_name,
        source_type=found[0][1],
        scopes=tuple(row[0] for row in found),
        first_day=min((row[1] for row in totals), default=None),
        last_day=max((row[2] for row in totals), default=None),
        source_rows=sum(row[3] for row in totals),
        costs=tuple((row[0], row[4]) for row in totals),
    )


def standing_sources(wh: Warehouse) -> list[str]:
    """Names of the sources that have charges in core."""
    return [row[0] for row in wh.con.execute("SELECT DISTINCT source_name FROM core.charges ORDER BY 1").fetchall()]


def forget(
    wh: Warehouse, source_name: str, scope: str | None = None, *, now: datetime, are_parts: bool = False
) -> Standing:
    """Take a source, or one delivery of it, out of core, in one transaction; each past total that changes is recorded.

    `are_parts`: the source's deliveries are partitions of one table, of which several tell of one day.
    The landed bytes stay. Raises LoadError where nothing stands under the name.
    """
    before = read_standing(wh, source_name, scope)
    if before is None:
        raise _nothing_stands(wh, source_name, scope)
    con = wh.con

    def take_out() -> None:
        is_shadow = is_aside(con, source_name)
        bring_back(con, source_name)
        for claim in _claims(con, source_name, scope):
            take_back(con, claim, now, are_parts=are_parts)
        if is_shadow and scope is not None:
            move_aside(con, source_name)
        if scope is None:
            con.execute("UPDATE ops.deliveries SET is_current = FALSE WHERE source_name = ?", [source_name])
            for table in _BY_SOURCE:
                con.execute(render("load/remove.sql", table=table, replaced="TRUE"), {"source_name": source_name})

    # Telemetry lives in the staging file, which takes a transaction of its own.
    wh.commit(lambda: _forget_calls(con, _claims(con, source_name, scope)))
    try:
        wh.commit(take_out)
    finally:
        for name in ("staged_days", "old_days"):
            con.execute(render("load/drop_temporary.sql", table=name))
    return before


def _claims(con: duckdb.DuckDBPyConnection, source_name: str, scope: str | None) -> list[Claim]:
    if scope is not None:
        claim = claim_of_scope(con, source_name, scope)
        return [claim] if claim is not None else []
    rows = con.execute(render("forget/claims.sql"), [source_name]).fetchall()
    return [Claim(source_name, *row) for row in rows]


def _forget_calls(con: duckdb.DuckDBPyConnection, claims: list[Claim]) -> None:
    for claim in claims:
        for table in ("stg_calls", "stg_outcomes", "staged_deliveries"):
            replaced = "TRUE" if claim.replaces == "window" else render("forget/scope.sql", scope=claim.scope).strip()
            con.execute(
                render("load/remove.sql", table=f"staging.{table}", replaced=replaced),
                {"source_name": claim.source_name},
            )


def rename(wh: Warehouse, old: str, new: str, *, new_type: str, landing: Path) -> Standing:
    """Give all that stands under `old` the name `new`, landed bytes included; running it again after a kill ends it.

    Raises LoadError where nothing stands under `old`, where its type is another, or where `new` has charges.
    """
    standing = read_standing(wh, old)
    if standing is None:
        raise _nothing_stands(wh, old, None)
    if standing.source_type != new_type:
        raise LoadError(
            f"{old!r} is of type {standing.source_type}, {new!r} of type {new_type}",
            cure=f"`trendbreak forget {old}` takes its charges out; the next run loads what {new!r} has",
        )
    there = read_standing(wh, new)
    if there is not None:
        raise LoadError(
            f"{new!r} has deliveries of its own: {there}",
            cure=f"`trendbreak forget {old}` takes out those of {old!r}, `trendbreak forget {new}` the others",
        )
    _move_landed(landing, old, new)
    for catalog in ("staging", "current"):
        wh.commit(partial(_rename_rows, wh.con, old, new, is_staging=catalog == "staging"))
    return standing


def _rename_rows(con: duckdb.DuckDBPyConnection, old: str, new: str, *, is_staging: bool) -> None:
    for (table,) in con.execute(render("forget/tables.sql"), {"is_staging": is_staging}).fetchall():
        con.execute(render("forget/rename.sql", table=table), [new, old])


def _move_landed(landing: Path, old: str, new: str) -> None:
    """Landed deliveries say whose they are, so that a replay finds them; each manifest is replaced in one piece."""
    for manifest in sorted((landing / old).glob(f"*/*/{MANIFEST}")):
        told = json.loads(manifest.read_bytes())
        told["source_name"] = new
        temporary = manifest.with_name(f"{MANIFEST}.new")
        temporary.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, manifest)
        target = landing / new / manifest.parent.parent.name / manifest.parent.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.rename(manifest.parent, target)


def _nothing_stands(wh: Warehouse, source_name: str, scope: str | None) -> LoadError:
    if scope is not None:
        names = ", ".join(repr(row[0]) for row in wh.con.execute(render("forget/scopes.sql"), [source_name]).fetchall())
        return LoadError(
            f"no delivery {scope!r} of {source_name!r} is loaded", cure=f"these are: {names}" if names else ""
        )
    known = ", ".join(
        repr(row[0])
        for row in wh.con.execute(
            "SELECT DISTINCT source_name FROM ops.deliveries WHERE is_current ORDER BY 1"
        ).fetchall()
    )
    return LoadError(f"nothing is loaded of {source_name!r}", cure=f"these are: {known or 'none'}")
