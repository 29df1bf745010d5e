"""A landed delivery → core, in one transaction: replace what it replaces, count, compare, record.

    parts ─ cast and summed per day, in place (scans, sql/load) ─ classified on the distinct SKUs
          ─▶ core.charges, core.metered_usage, staging.stg_calls
          ─▶ ops.deliveries, ops.delivery_days (control totals), ops.restatements, ops.reconciliations

Loading a delivery twice changes nothing. Whatever fails, the warehouse stands as before.

Telemetry lives in the staging file, and a transaction writes to one file: calls are replaced there
first, then the delivery is recorded. A run that is killed between the two leaves calls that no
delivery vouches for, and the next run, to which the delivery is not loaded, replaces them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from warehouse import split_costs
from warehouse.bad_rows import find_bad_row, find_too_large
from warehouse.classification import provider_slug
from warehouse.errors import LandingError, LoadError, ReconciliationError, has_no_room
from warehouse.landing import LandedDelivery
from warehouse.overlap import ALONE, Neighbours, find_copy, settle_overlap
from warehouse.rates import REPORTING_CURRENCY
from warehouse.scans import FileScanLike, Group, RowsLike, Scan, open_scans
from warehouse.split_costs import divide_by_splits
from warehouse.staged_calls import Issues, name_models, record_issues, replace_telemetry
from warehouse.staged_charges import OWN, PLAIN, TEMPORARY, count, stage_charges
from warehouse.standing import (
    GROUPS_PER_DELIVERY,
    Claim,
    claim_of_scope,
    condition,
    keep_old_days,
    record_restatements,
    remove,
    remove_charges,
    supersede,
    take_back,
)
from warehouse.statements import render
from warehouse.store import Warehouse
from warehouse.terms import COUNTED, Terms, bring_back, move_aside


@dataclass(frozen=True)
class LoadResult:
    """What a load did. Sums are None where the delivery holds no charges, or several currencies.

    `source_rows`: rows of the delivery (charges, or usage or calls where it holds no charges);
    `charge_rows`: rows of core.charges they became; `restatements`: past daily totals that changed.
    `is_news`: False where an answer for known days says, row for row, what stood there already.
    """

    delivery_id: str
    was_loaded: bool
    source_rows: int
    charge_rows: int
    billed_cost: Decimal | None
    effective_cost: Decimal | None
    restatements: int
    notes: tuple[str, ...]
    is_news: bool = True


@dataclass
class _Counts:
    source_rows: int = 0
    charge_rows: int = 0
    call_rows: int | None = None
    billed_cost: Decimal | None = None
    effective_cost: Decimal | None = None
    billing_currency: str | None = None
    restatements: int = 0


def load_delivery(
    wh: Warehouse,
    delivery: LandedDelivery,
    parts: Iterable[RowsLike | FileScanLike],
    *,
    notes: Sequence[str] = (),
    now: datetime,
    rates: Iterable[tuple[str, date, Decimal]] = (),
    tag_keys: Iterable[str] | None = None,
    not_after: datetime | None = None,
    neighbours: Neighbours = ALONE,
    terms: Terms = COUNTED,
) -> LoadResult:
    """Load a delivery; nothing changes when its content is loaded and still speaks.

    `rates`: (currency, valid_from, US dollars per unit); the newest one on or before a charge's day
    counts. `tag_keys`: of the tags in files only these are kept, by their plain names; None keeps all.
    `now` is recorded as loaded_at. `not_after`: no call can be later, but for clocks that differ; None takes
    the delivery's fetched_at. `neighbours`: what else the configuration and the folder hold. `terms`: of which
    days, and whether they count. Raises LoadError (OverlapError, CurrencyError) naming
    file, row and column, LandingError for landed files that are not whole.
    """
    con = wh.con
    if _still_speaks(con, delivery, terms):
        return _unchanged(wh, delivery, notes)
    copy_of = find_copy(con, delivery, neighbours)
    if copy_of is not None:
        said = f"{delivery.scope}: the same bytes as {copy_of}, which is loaded; a copy is loaded once"
        return _set_copy_aside(wh, delivery, now, (*notes, said))
    _check_sizes(delivery)
    registered: list[str] = []
    names = {path: name for name, path in delivery.files.items()}
    try:
        parts = tuple(parts)
        kept_tags = None if tag_keys is None else tuple(sorted(set(tag_keys)))
        scans = open_scans(
            con,
            parts,
            names=names,
            registered=registered,
            tag_keys=kept_tags,
            since=terms.since,
            until=terms.until,
        )
        staged_notes: list[str] = list(notes)
        for holds, scan in scans.items():
            with _values_named(con, scan):
                if holds == "charges":
                    staged_notes.extend(stage_charges(con, scan, list(rates)))
                elif holds == "metered_usage":
                    con.execute(render("load/staged_usage.sql", scan=scan.select()))
        call_rows: int | None = None
        issues: Issues = {}
        staged = scans.get("calls") or scans.get("outcomes")
        if staged is not None:
            with _values_named(con, staged):
                call_rows, issues = replace_telemetry(
                    wh,
                    delivery,
                    scans.get("calls"),
                    scans.get("outcomes"),
                    not_after=not_after or delivery.fetched_at,
                )

        def replace() -> LoadResult:
            counts, found = _Counts(call_rows=call_rows), list(staged_notes)
            load_number = _next_load_number(con)
            if terms.role == "shadow":
                bring_back(con, delivery.source_name)
            before = _fingerprints(con, delivery)
            if "charges" in scans:
                gone = settle_overlap(con, delivery, scans["charges"], neighbours)
                found.extend(f"{delivery.scope} takes the place of {scope}, which is gone" for scope in gone)
                parts_of_one = neighbours.are_parts
                _replace_charges(
                    con, delivery, scans["charges"], gone, load_number, counts, now, terms, are_parts=parts_of_one
                )
            elif delivery.replaces == "scope":
                remove_charges(con, delivery, now)
            if "metered_usage" in scans:
                for claim in _vanished_usage(con, delivery, neighbours):
                    found.append(f"{delivery.scope} takes the place of {claim.scope}, which is gone")
                    take_back(con, claim, now)
                untold = [kind for part in parts if isinstance(part, RowsLike) for kind in part.untold]
                _replace_usage(con, delivery, untold, counts)
            elif delivery.replaces == "scope":
                remove(con, "core.metered_usage", "usage_date", delivery)
            if "gpu_utilization" in scans:
                remove(con, "core.gpu_utilization", "usage_date", delivery)
                con.execute(
                    render("load/insert_gpu_utilization.sql", scan=scans["gpu_utilization"].select()),
                    {
                        "source_name": delivery.source_name,
                        "scope": delivery.scope,
                        "delivery_id": delivery.delivery_id,
                    },
                )
            is_news = before is None or counts.call_rows is not None or before != _fingerprints(con, delivery)
            record_issues(con, delivery, scans.get("telemetry_issues"), issues)
            _record_delivery(con, delivery, scans, load_number, counts, found, now, terms)
            if terms.role == "shadow":
                move_aside(con, delivery.source_name)
            return LoadResult(
                delivery_id=delivery.delivery_id,
                was_loaded=True,
                source_rows=counts.source_rows or counts.call_rows or 0,
                charge_rows=counts.charge_rows,
                billed_cost=counts.billed_cost,
                effective_cost=counts.effective_cost,
                restatements=counts.restatements,
                notes=tuple(found),
                is_news=is_news,
            )

        with _causes_named(con, list(scans.values())):
            return wh.commit(replace)
    finally:
        for name in registered:
            con.unregister(name)
        _drop_temporary(con)


def loaded_identities(wh: Warehouse, source_name: str, terms: Terms = COUNTED) -> set[tuple[str, str]]:
    """(scope, identity) of what is loaded and still speaks, on these terms: not worth another fetch."""
    return {
        (scope, identity)
        for scope, identity in wh.con.execute(
            render("load/loaded_identities.sql"), {"source_name": source_name, "bounds": terms.bounds}
        ).fetchall()
    }


def superseded_deliveries(wh: Warehouse) -> set[tuple[str, str]]:
    """(source_name, delivery_id) of what was loaded once and speaks for no day any more."""
    return set(
        wh.con.execute(
            "SELECT source_name, delivery_id FROM ops.deliveries GROUP BY ALL HAVING NOT bool_or(is_current)"
        ).fetchall()
    )


def _still_speaks(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, terms: Terms) -> bool:
    """Whether this very content is loaded and nothing that was loaded later speaks for any of its days."""
    row = con.execute(
        render("load/still_speaks.sql"),
        {"delivery_id": delivery.delivery_id, "source_name": delivery.source_name, "bounds": terms.bounds},
    ).fetchone()
    return row is not None


def _unchanged(wh: Warehouse, delivery: LandedDelivery, notes: Sequence[str]) -> LoadResult:
    con = wh.con
    row = con.execute(
        "SELECT source_rows, coalesce(charge_rows, 0), billed_cost, effective_cost, identity FROM ops.deliveries "
        "WHERE delivery_id = ? AND is_current",
        [delivery.delivery_id],
    ).fetchone()
    rows, charge_rows, billed, effective, identity = row or (0, 0, None, None, delivery.identity)
    if identity != delivery.identity:
        # It has moved (a new time stamp on the same bytes): the next run then skips the fetch.
        wh.commit(
            lambda: con.execute(
                "UPDATE ops.deliveries SET identity = ? WHERE delivery_id = ? AND is_current",
                [delivery.identity, delivery.delivery_id],
            )
        )
    return LoadResult(delivery.delivery_id, False, rows, charge_rows, billed, effective, 0, tuple(notes))


def _set_copy_aside(wh: Warehouse, delivery: LandedDelivery, now: datetime, notes: tuple[str, ...]) -> LoadResult:
    """Leave a copy out. What its scope said before it became one goes: the file no longer says it.

    A copy is not recorded as loaded, so that it is offered again when its original changes.
    """
    con = wh.con

    def take_out() -> tuple[int, int]:
        had = count(
            con,
            "SELECT count(*) FROM ops.deliveries WHERE is_current AND source_name = ? AND scope = ?",
            delivery.source_name,
            delivery.scope,
        )
        return had, take_back(con, delivery, now) if had else 0

    try:
        had, restatements = wh.commit(take_out)
    finally:
        _drop_temporary(con)
    return LoadResult(delivery.delivery_id, bool(had), 0, 0, None, None, restatements, notes)


def _drop_temporary(con: duckdb.DuckDBPyConnection) -> None:
    for name in (*TEMPORARY, *split_costs.TEMPORARY, "old_days", "staged_usage", "canonical_names"):
        con.execute(render("load/drop_temporary.sql", table=name))


def _check_sizes(delivery: LandedDelivery) -> None:
    for name, path in delivery.files.items():
        expected = delivery.sizes.get(name)
        actual = path.stat().st_size if path.is_file() else None
        if actual is None or (expected is not None and actual != expected):
            raise LandingError(
                "the landed file is missing"
                if actual is None
                else f"{actual} bytes stand where {expected} were landed",
                where=str(path),
                cure="remove the delivery's folder and run again: it is fetched anew",
            )


@contextmanager
def _values_named(con: duckdb.DuckDBPyConnection, scan: Scan) -> Iterator[None]:
    """An error of DuckDB's readers or casts becomes the LoadError that names file, row and column."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if has_no_room(error):  # the warehouse's own disk, and no fault of the file
            raise
        try:
            named = find_bad_row(con, scan)
        except duckdb.Error:  # the reader cannot get through the file at all
            named = None
        if named is not None:
            raise named from error
        raise _named(con, error, [scan]) from error


@contextmanager
def _causes_named(con: duckdb.DuckDBPyConnection, scans: Sequence[Scan]) -> Iterator[None]:
    """The same for what fails once the values are read and added up: around the transaction, which is over by then."""
    try:
        yield
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        raise _named(con, error, scans) from error


def _named(con: duckdb.DuckDBPyConnection, error: duckdb.Error, scans: Sequence[Scan]) -> LoadError:
    """The value that is too large, where one is; else what DuckDB says, with the files' names."""
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException):
        rate = _largest_rate(con)
        found = next((told for scan in scans if (told := find_too_large(con, scan, rate)) is not None), None)
        if found is not None:
            return found
    return LoadError(str(error).splitlines()[0], where=", ".join(scan.where() for scan in scans))


def _largest_rate(con: duckdb.DuckDBPyConnection) -> Decimal:
    """Of the rates that the staged charges are multiplied by; 1 where none is."""
    if not count(con, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'day_rates'"):
        return Decimal(1)
    row = con.execute("SELECT max(usd_per_unit) FROM day_rates").fetchone()
    return max(Decimal(1), row[0]) if row and row[0] is not None else Decimal(1)


# ------------------------------------------------------------------------------------------ charges


def _replace_charges(
    con: duckdb.DuckDBPyConnection,
    delivery: LandedDelivery,
    scan: Scan,
    gone: Sequence[str],
    load_number: int,
    counts: _Counts,
    now: datetime,
    terms: Terms,
    *,
    are_parts: bool,
) -> None:
    """Within the transaction: old rows out, new rows in, control totals and restatements recorded.

    `gone`: scopes whose files are gone and whose place the delivery takes.
    """
    _check_window(con, "staged_days", "charge_date", delivery)
    before = [claim for scope in gone if (claim := claim_of_scope(con, delivery.source_name, scope)) is not None]
    keep_old_days(con, [delivery, *before])
    remove_charges(con, delivery, now)
    for claim in before:
        remove_charges(con, claim, now)
        remove(con, "core.metered_usage", "usage_date", claim)
        supersede(con, claim)
    first_group = _first_group(con, delivery.delivery_id)
    dimensions: dict[str, Any] = {
        "source_name": delivery.source_name,
        "source_type": delivery.source_type,
        "scope": delivery.scope,
        "delivery_id": delivery.delivery_id,
        "plain": PLAIN,
        "own": OWN,
        "first_group": first_group,
    }
    amounts: dict[str, Any] = {
        "first_group": first_group,
        "reporting": REPORTING_CURRENCY,
        "has_tags": count(con, "SELECT count(*) FROM canonical_tags") > 0,
        "has_rates": count(con, "SELECT count(*) FROM day_rates WHERE currency <> ?", REPORTING_CURRENCY) > 0,
        "collapse": count(con, render("load/must_collapse.sql")) > 0,
    }
    con.execute(render("load/insert_charge_dimensions.sql", **dimensions))
    counts.charge_rows = _changed_rows(con.execute(render("load/insert_charge_amounts.sql", **amounts)))
    if divide_by_splits(con, scan, delivery.delivery_id):
        counts.charge_rows = count(con, "SELECT count(*) FROM core.charges WHERE delivery_id = ?", delivery.delivery_id)
    con.execute(
        render("load/insert_delivery_days.sql"),
        {
            "delivery_id": delivery.delivery_id,
            "load_number": load_number,
            "source_name": delivery.source_name,
            "scope": delivery.scope,
        },
    )
    _reconcile_load(con, delivery)
    if terms.role == "counted":  # what a shadow says anew changes no total
        counts.restatements = record_restatements(con, delivery, now, are_parts=are_parts)
    totals = con.execute(render("load/staged_totals.sql")).fetchone()
    assert totals is not None
    counts.source_rows, billed, effective, currencies, currency = totals
    if currencies <= 1:
        counts.billed_cost, counts.effective_cost, counts.billing_currency = billed, effective, currency


def _first_group(con: duckdb.DuckDBPyConnection, delivery_id: str) -> int:
    """What is added to the staged groups' numbers, so that no other delivery's charges have the same.

    It is made of the delivery's own name, so that what stands does not depend on the order of loading; where another
    delivery has these numbers by chance, the next that are free are taken.
    """
    place = int.from_bytes(hashlib.sha256(delivery_id.encode()).digest()[:4], "big")
    taken = "SELECT count(*) FROM core.charge_dimensions WHERE charge_group BETWEEN ? AND ?"
    while count(con, taken, place * GROUPS_PER_DELIVERY, (place + 1) * GROUPS_PER_DELIVERY - 1):
        place = (place + 1) % 2**32
    lowest = count(con, "SELECT coalesce(min(charge_group), 0) FROM charge_groups")
    return place * GROUPS_PER_DELIVERY - lowest


def _fingerprints(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery) -> list[tuple[int, int]] | None:
    """(rows, sum of their hashes) of what stands for the delivery's window; None for a delivery by scope.

    An answer asked for again differs in its bytes (another order, a newer name in a list) and says the same.
    """
    if delivery.replaces != "window":
        return None
    return [
        con.execute(
            render("load/fingerprint.sql", table=table, replaced=condition(day_column, delivery)),
            {"source_name": delivery.source_name},
        ).fetchall()[0]
        for table, day_column in (("core.charges", "charge_date"), ("core.metered_usage", "usage_date"))
    ]


def _changed_rows(inserted: duckdb.DuckDBPyConnection) -> int:
    row = inserted.fetchone()
    return int(row[0]) if row else 0


def _reconcile_load(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery) -> None:
    """Σ and rows of the scan = Σ and rows of what stands in core, per day and currency."""
    rows = con.execute(render("load/reconcile_load.sql"), {"delivery_id": delivery.delivery_id}).fetchall()
    for day, currency, measure, expected, actual in rows:
        raise ReconciliationError(
            f"{measure} of the source is {expected}, of core.charges {actual}",
            where=f"load, {delivery.source_name}, {delivery.scope}, {day}, {currency}",
        )


def _check_window(con: duckdb.DuckDBPyConnection, table: str, day_column: str, delivery: LandedDelivery) -> None:
    """A row outside the window that a delivery replaces would stand twice after the next one."""
    if delivery.replaces != "window":
        return
    row = con.execute(
        render("load/outside_window.sql", table=table, day_column=day_column),
        {"window_start": delivery.window_start, "window_end": delivery.window_end},
    ).fetchone()
    if row is not None:
        raise LoadError(
            f"a row of {row[0]} in a delivery for {delivery.window_start} to {delivery.window_end} (exclusive)",
            where=f"{delivery.source_name}, {delivery.scope}",
            cure="the source answered for days it was not asked for: report it",
        )


# ---------------------------------------------------------------------------------- metered usage


def _vanished_usage(
    con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, neighbours: Neighbours
) -> Iterator[Claim]:
    """Files of usage that are gone and spoke of what the staged usage speaks of."""
    for scope in sorted(neighbours.vanished):
        values = {"source_name": delivery.source_name, "scope": scope}
        row = con.execute(render("load/common_usage.sql"), values).fetchone()
        claim = claim_of_scope(con, delivery.source_name, scope)
        if row is not None and row[0] and row[0] * 2 >= row[1] and claim is not None:
            yield claim


def _replace_usage(
    con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, untold: Sequence[str], counts: _Counts
) -> None:
    _check_window(con, "staged_usage", "usage_date", delivery)
    con.execute(
        render("load/remove_usage.sql", replaced=condition("usage_date", delivery)),
        {"source_name": delivery.source_name, "untold": list(untold)},
    )
    name_models(con, "SELECT * FROM staged_usage", "NULL::VARCHAR", delivery.window_start)
    con.execute(
        render("load/insert_usage.sql"),
        {
            "source_name": delivery.source_name,
            "scope": delivery.scope,
            "delivery_id": delivery.delivery_id,
            "provider": provider_slug(delivery.source_type, day=delivery.window_start),
        },
    )
    if not counts.source_rows:
        counts.source_rows = count(con, "SELECT count(*) FROM staged_usage")


# ------------------------------------------------------------------------------------------- record


def _record_delivery(
    con: duckdb.DuckDBPyConnection,
    delivery: LandedDelivery,
    scans: dict[str, Scan],
    load_number: int,
    counts: _Counts,
    notes: Sequence[str],
    now: datetime,
    terms: Terms,
) -> None:
    supersede(con, delivery)
    con.execute(
        render("load/insert_delivery.sql"),
        {
            "delivery_id": delivery.delivery_id,
            "source_name": delivery.source_name,
            "source_type": delivery.source_type,
            "scope": delivery.scope,
            "window_start": delivery.window_start,
            "window_end": delivery.window_end,
            "identity": delivery.identity,
            "content_hash": delivery.content_hash,
            "landed_path": _relative(delivery.path),
            "fetched_at": delivery.fetched_at,
            "loaded_at": now,
            "source_rows": counts.source_rows or counts.call_rows or 0,
            "billed_cost": counts.billed_cost,
            "effective_cost": counts.effective_cost,
            "billing_currency": counts.billing_currency,
            "notes": json.dumps(list(notes), ensure_ascii=False),
            "load_number": load_number,
            "replaces": delivery.replaces,
            "call_rows": counts.call_rows,
            "charge_rows": counts.charge_rows,
            "bounds": terms.bounds,
            "scans": json.dumps(
                [_scan_record(group, delivery.path) for scan in scans.values() for group in scan.groups]
            ),
        },
    )


def _scan_record(group: Group, root: Path) -> dict[str, Any]:
    """How a group's files are read, to read them again when another file must be compared with them."""
    return {
        "layout": group.layout.name,
        "holds": group.layout.holds,
        "file_format": group.file_format,
        "files": [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in group.files],
        "select": group.select() if group.files else None,
    }


def _relative(path: Path) -> str:
    """`<source>/<window>/<delivery>`: the landing folder may move."""
    return "/".join(path.parts[-3:])


def _next_load_number(con: duckdb.DuckDBPyConnection) -> int:
    return count(con, "SELECT coalesce(max(load_number), 0) + 1 FROM ops.deliveries")
