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

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from warehouse.classification import Classification, Sku, boundaries, classify, provider_slug
from warehouse.errors import CurrencyError, LandingError, LoadError, ReconciliationError
from warehouse.landing import LandedDelivery
from warehouse.overlap import find_copy, refuse_overlap
from warehouse.scans import (
    FileScanLike,
    Group,
    RowsLike,
    Scan,
    bad_value_error,
    find_bad_row,
    find_row,
    open_scans,
)
from warehouse.statements import quote_literal, render
from warehouse.store import Warehouse
from warehouse.tags import PREFIX, UNREAD, canonical_tags

REPORTING_CURRENCY = "USD"
SUPERSEDED_TOTALS_DAYS = 90  # how long a superseded delivery's control totals stay
# What a charge that is no AI keeps; the grain of core.charges for it, with day and tags.
PLAIN = (
    "billing_period_start",
    "billing_account_id",
    "sub_account_id",
    "sub_account_name",
    "invoice_issuer_name",
    "provider_name",
    "service_name",
    "service_category",
    "charge_category",
    "charge_class",
    "commitment_discount_status",
    "billing_currency",
    "basis",
)
# What AI charges, and all charges of a node with a GPU, keep besides; and their resource.
OWN = ("sku_id", "sku_meter", "charge_description", "region_id", "api_key_id", "consumed_unit")
DIMENSIONS = (*PLAIN, *OWN, "model", "token_type")
# What classification reads, in the order of its Sku after the two names that make the provider.
SKU = (
    "provider_name",
    "invoice_issuer_name",
    "service_name",
    "service_category",
    "sku_meter",
    "charge_description",
    "consumed_unit",
    "model",
    "token_type",
)
# The order in which dimensions are tried for leaving out of the look-up.
LONG_FIRST = (
    "charge_description",
    "sku_id",
    "sub_account_name",
    "provider_name",
    "service_category",
    "invoice_issuer_name",
    "billing_account_id",
    "billing_period_start",
    "consumed_unit",
    "token_type",
    "charge_class",
    "commitment_discount_status",
    "billing_currency",
    "basis",
    "pattern_span",
    "charge_category",
    "region_id",
    "api_key_id",
    "model",
    "service_name",
    "sub_account_id",
    "sku_meter",
)
MOST_COMBINATIONS_TO_REDUCE = 200_000
FEWEST_ROWS_TO_REDUCE = 200_000
TEMPORARY = (
    "seen_dimensions",
    "sku_classes",
    "dimension_groups",
    "group_keys",
    "gpu_days",
    "staged_charges",
    "charge_groups",
    "staged_days",
    "canonical_tags",
    "seen_providers",
    "day_rates",
    "old_days",
    "staged_usage",
)


@dataclass(frozen=True)
class LoadResult:
    """What a load did. Sums are None where the delivery holds no charges, or several currencies.

    `source_rows`: rows of the delivery (charges, or usage or calls where it holds no charges);
    `charge_rows`: rows of core.charges they became; `restatements`: past daily totals that changed.
    """

    delivery_id: str
    was_loaded: bool
    source_rows: int
    charge_rows: int
    billed_cost: Decimal | None
    effective_cost: Decimal | None
    restatements: int
    notes: tuple[str, ...]


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
) -> LoadResult:
    """Load a delivery; nothing changes when its content is loaded and still speaks.

    `rates`: (currency, valid_from, US dollars per unit); the newest one on or before a charge's day
    counts. `now` is recorded as loaded_at. Raises LoadError (OverlapError, CurrencyError) naming
    file, row and column, LandingError for landed files that are not whole.
    """
    con = wh.con
    if _still_speaks(con, delivery):
        return _unchanged(con, delivery, notes)
    copy_of = find_copy(con, delivery)
    if copy_of is not None:
        said = f"{delivery.scope}: the same bytes as {copy_of}, which is loaded; a copy is loaded once"
        return LoadResult(delivery.delivery_id, False, 0, 0, None, None, 0, (*notes, said))
    _check_sizes(delivery)
    registered: list[str] = []
    names = {path: name for name, path in delivery.files.items()}
    try:
        parts = tuple(parts)
        scans = open_scans(con, parts, names=names, registered=registered)
        found: list[str] = list(notes)
        for holds, scan in scans.items():
            with _values_named(con, scan):
                if holds == "charges":
                    found.extend(_stage_charges(con, scan, list(rates)))
                elif holds == "metered_usage":
                    con.execute(render("load/staged_usage.sql", scan=scan.select()))
        counts = _Counts()
        if "calls" in scans:
            counts.call_rows = _replace_calls(wh, delivery, scans["calls"])
        with wh.transaction():
            load_number = _next_load_number(con)
            if "charges" in scans:
                refuse_overlap(con, delivery, scans["charges"])
                _replace_charges(con, delivery, scans["charges"], load_number, counts, now)
            elif delivery.replaces == "scope":
                _remove_charges(con, delivery, now)
            if "metered_usage" in scans:
                _replace_usage(con, delivery, counts)
            elif delivery.replaces == "scope":
                _remove(con, "core.metered_usage", "usage_date", delivery)
            _record_delivery(con, delivery, scans, load_number, counts, found, now)
        return LoadResult(
            delivery_id=delivery.delivery_id,
            was_loaded=True,
            source_rows=counts.source_rows or counts.call_rows or 0,
            charge_rows=counts.charge_rows,
            billed_cost=counts.billed_cost,
            effective_cost=counts.effective_cost,
            restatements=counts.restatements,
            notes=tuple(found),
        )
    finally:
        for name in registered:
            con.unregister(name)
        for name in TEMPORARY:
            con.execute(render("load/drop_temporary.sql", table=name))


def loaded_identities(wh: Warehouse, source_name: str) -> set[tuple[str, str]]:
    """(scope, identity) of what is loaded and still speaks: not worth another fetch."""
    return {
        (scope, identity)
        for scope, identity in wh.con.execute(
            render("load/loaded_identities.sql"), {"source_name": source_name}
        ).fetchall()
    }


def _still_speaks(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery) -> bool:
    """Whether this very content is loaded and nothing that was loaded later speaks for any of its days."""
    row = con.execute(
        render("load/still_speaks.sql"),
        {"delivery_id": delivery.delivery_id, "source_name": delivery.source_name},
    ).fetchone()
    return row is not None


def _unchanged(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, notes: Sequence[str]) -> LoadResult:
    row = con.execute(
        "SELECT source_rows, coalesce(charge_rows, 0), billed_cost, effective_cost FROM ops.deliveries "
        "WHERE delivery_id = ? AND is_current",
        [delivery.delivery_id],
    ).fetchone()
    rows, charge_rows, billed, effective = row or (0, 0, None, None)
    # The identity may have moved (a new time stamp on the same bytes): the next run then skips the fetch.
    con.execute(
        "UPDATE ops.deliveries SET identity = ? WHERE delivery_id = ? AND is_current AND identity IS DISTINCT FROM ?",
        [delivery.identity, delivery.delivery_id, delivery.identity],
    )
    return LoadResult(delivery.delivery_id, False, rows, charge_rows, billed, effective, 0, tuple(notes))


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
    except (
        duckdb.ConversionException,
        duckdb.InvalidInputException,
        duckdb.OutOfRangeException,
        duckdb.IOException,
    ) as error:
        named = find_bad_row(con, scan)
        if named is not None:
            raise named from error
        raise LoadError(str(error).splitlines()[0], where=_where(scan)) from error


def _where(scan: Scan) -> str:
    return ", ".join(group.names.get(path, path.name) for group in scan.groups for path in group.files[:3])


# ------------------------------------------------------------------------------------------ charges


def _stage_charges(
    con: duckdb.DuckDBPyConnection, scan: Scan, rates: Sequence[tuple[str, date, Decimal]]
) -> list[str]:
    """Make temp tables staged_charges, charge_groups, staged_days and what they are joined with. Returns notes."""
    select = render("load/spanned.sql", scan=scan.select(), boundaries=boundaries())
    con.execute(render("load/seen_dimensions.sql", scan=select, dimensions=DIMENSIONS))
    notes = _classify(con)
    con.execute(render("load/dimension_groups.sql", plain=PLAIN, sku=SKU))
    has_gpu = _count(con, "SELECT count(*) FROM dimension_groups WHERE ai_kind = 'gpu'") > 0
    has_ai = has_gpu or _count(con, "SELECT count(*) FROM dimension_groups WHERE is_ai") > 0
    columns = _telling_columns(con, "whole_group" if has_gpu else "plain_group")
    values: dict[str, Any] = {"scan": select, "columns": columns, "has_gpu": has_gpu, "has_ai": has_ai}
    values["salt"] = _make_group_keys(con, values)
    values["known"] = _known_amounts(scan)
    if has_gpu:
        con.execute(render("load/gpu_days.sql", **values))
    con.execute(render("load/staged_charges.sql", **values))
    _name_providers(con)
    con.execute(render("load/charge_groups.sql", plain=PLAIN, own=OWN, has_gpu=has_gpu))
    con.execute(render("load/staged_days.sql"))
    _check_complete(con, scan, values["known"])
    notes += _canonical_tags(con)
    _day_rates(con, scan, rates)
    return notes


def _classify(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Make temp table sku_classes: the SKUs that are AI, or look like it, per span of days. Returns notes."""
    columns: dict[str, list[Any]] = {name: [] for name in _SKU_CLASSES.names}
    known: dict[tuple[int, Sku], Classification] = {}
    unclassified: set[str] = set()
    first_days = (date.min, *boundaries())
    for span, *texts in con.execute(render("load/seen_skus.sql", sku=SKU)).fetchall():
        provider_name, issuer, *rest = texts
        day = first_days[span]
        sku = Sku(provider_slug(provider_name, issuer, day=day), *rest)
        what = known.get((span, sku)) or known.setdefault((span, sku), classify(sku, day))
        if what.ai_kind == "other":
            continue
        if what.ai_kind == "unclassified":
            unclassified.add(sku.sku_meter or sku.charge_description or sku.service_name or "")
        hours = what.gpu_hours_per_unit
        row = (
            span,
            *texts,
            what.ai_kind,
            what.workload,
            what.model,
            what.token_type,
            what.pricing_tier,
            what.gpu_type,
            what.tokens_per_unit,
            hours.numerator if hours is not None else None,
            hours.denominator if hours is not None else None,
        )
        for name, cell in zip(_SKU_CLASSES.names, row, strict=True):
            columns[name].append(cell)
    _create_from_arrow(con, "sku_classes", pa.table(columns, schema=_SKU_CLASSES))
    if not unclassified:
        return []
    count = f"{len(unclassified)} SKUs look" if len(unclassified) > 1 else "a SKU looks"
    return [f"{count} like AI and fit{'' if len(unclassified) > 1 else 's'} no pattern (ai_kind unclassified): {min(unclassified)!r}"]


_SKU_CLASSES = pa.schema(
    [
        ("pattern_span", pa.int32()),
        *((name, pa.string()) for name in SKU),
        ("ai_kind", pa.string()),
        ("workload", pa.string()),
        ("canonical_model", pa.string()),
        ("canonical_token_type", pa.string()),
        ("pricing_tier", pa.string()),
        ("gpu_type", pa.string()),
        ("tokens_per_unit", pa.int64()),
        ("gpu_hours_factor", pa.int64()),
        ("gpu_hours_divisor", pa.int64()),
    ]
)


def _telling_columns(con: duckdb.DuckDBPyConnection, target: str) -> list[str]:
    """The few dimensions that tell the groups of this delivery apart.

    The combinations are complete, so what depends on what in them holds for every row. Looking a row
    up by three columns instead of twenty is most of what makes the load fast.
    """
    columns = [*DIMENSIONS, "pattern_span"]
    row = con.execute("SELECT count(*), sum(source_rows) FROM seen_dimensions").fetchone()
    combinations, rows = row or (0, 0)
    if combinations > MOST_COMBINATIONS_TO_REDUCE or (rows or 0) < FEWEST_ROWS_TO_REDUCE:
        return columns  # finding out would take longer than it saves
    # Texts that are long or have many values are tried first: to leave one out saves most.
    for column in LONG_FIRST:
        rest = [other for other in columns if other != column]
        row = con.execute(render("load/distinguishes.sql", columns=rest, target=target)).fetchone()
        if row is not None and row[0]:
            columns = rest
    return columns


def _make_group_keys(con: duckdb.DuckDBPyConnection, values: dict[str, Any]) -> int:
    """Make temp table group_keys. Returns the salt under which no two keys have one hash."""
    for salt in range(8):
        con.execute(render("load/group_keys.sql", **values, salt=salt))
        if _count(con, "SELECT count(*) - count(DISTINCT key_hash) FROM group_keys") == 0:
            return salt
    raise LoadError("two of its combinations of dimensions cannot be told apart by hash", cure="report it")


def _known_amounts(scan: Scan) -> dict[str, bool]:
    """Which amounts have a value in every row, by the files' footers: they need not be counted."""
    layouts = [group.layout for group in scan.groups]
    return {
        name: all(len(layout.money) > place and scan.has_no_nulls(layout.money[place]) for layout in layouts)
        for place, name in enumerate(("billed_cost", "effective_cost", "list_cost"))
    }


def _check_complete(con: duckdb.DuckDBPyConnection, scan: Scan, known: dict[str, bool]) -> None:
    """No row without day, currency or cost: a sum that left it out would pass for the whole. No row lost."""
    row = con.execute(render("load/incomplete.sql", known=known)).fetchone()
    assert row is not None
    incomplete, seen_rows, staged_rows, counted_rows = row
    if incomplete:
        raise find_bad_row(con, scan) or LoadError("rows lack a day, a currency or a cost", where=_where(scan))
    footer_rows = scan.parquet_rows(con)
    if not staged_rows == seen_rows == counted_rows or footer_rows not in (None, seen_rows):
        raise ReconciliationError(
            f"of {seen_rows if footer_rows is None else footer_rows} rows {staged_rows} were added up",
            where=_where(scan),
            cure="report it",
        )


def _name_providers(con: duckdb.DuckDBPyConnection) -> None:
    first_days = (date.min, *boundaries())
    seen = con.execute(
        "SELECT provider_name, invoice_issuer_name, max(pattern_span) FROM seen_dimensions GROUP BY ALL"
    ).fetchall()
    slugs = [provider_slug(name, issuer, day=first_days[span]) for name, issuer, span in seen]
    table = pa.table(
        {
            "provider_name": pa.array([row[0] for row in seen], pa.string()),
            "invoice_issuer_name": pa.array([row[1] for row in seen], pa.string()),
            "provider": pa.array(slugs, pa.string()),
        }
    )
    _create_from_arrow(con, "seen_providers", table)


def _canonical_tags(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Make temp table canonical_tags: raw text → canonical text. Returns notes."""
    con.execute(render("load/canonical_tags.sql", prefix=PREFIX))
    odd = [row[0] for row in con.execute("SELECT raw_tags FROM canonical_tags WHERE is_odd").fetchall()]
    if not odd:
        return []
    read = [canonical_tags(raw) for raw in odd]
    _create_from_arrow(con, "odd_tags", pa.table({"raw_tags": odd, "tags": pa.array(read, pa.string())}))
    con.execute(
        "UPDATE canonical_tags SET tags = odd_tags.tags FROM odd_tags WHERE odd_tags.raw_tags = canonical_tags.raw_tags"
    )
    con.execute(render("load/drop_temporary.sql", table="odd_tags"))
    unread = sum(1 for text in read if text is not None and text.startswith(f'{{"{UNREAD}":'))
    return [f"{unread} tag texts are no JSON object: kept unread under {UNREAD!r}"] if unread else []


def _day_rates(con: duckdb.DuckDBPyConnection, scan: Scan, rates: Sequence[tuple[str, date, Decimal]]) -> None:
    """Make temp table day_rates: currency, charge_date, usd_per_unit. Raises CurrencyError for a day without one."""
    days = con.execute("SELECT DISTINCT billing_currency, charge_date FROM staged_days").fetchall()
    dated = sorted((currency.upper(), valid_from, usd) for currency, valid_from, usd in rates)
    rows: list[tuple[str, date, Decimal]] = []
    for currency, day in sorted(days):
        if currency == REPORTING_CURRENCY:
            rows.append((currency, day, Decimal(1)))
            continue
        usd = next((usd for code, since, usd in reversed(dated) if code == currency and since <= day), None)
        if usd is None:
            raise _no_rate(con, scan, currency, day, sorted({row[0] for row in days}))
        rows.append((currency, day, usd))
    table = pa.table(
        {
            "currency": pa.array([row[0] for row in rows], pa.string()),
            "charge_date": pa.array([row[1] for row in rows], pa.date32()),
            "usd_per_unit": pa.array([row[2] for row in rows], pa.decimal128(38, 12)),
        }
    )
    _create_from_arrow(con, "day_rates", table)


def _no_rate(
    con: duckdb.DuckDBPyConnection, scan: Scan, currency: str, day: date, currencies: Sequence[str]
) -> CurrencyError:
    what = f"{currency} has no rate for {day}"
    if len(currencies) > 1:
        what = f"amounts in {' and '.join(currencies)} cannot be added: {what}"
    cure = f"give a dated rate for {currency} in trendbreak.yml, under currency_rates"
    for group in scan.groups:
        for path in group.files or (None,):
            column = group.layout.currency or ""
            text = group.columns.text(column)
            hit = find_row(con, group, path, f"upper({text}) = {quote_literal(currency)}", shown=text)
            if hit is not None:
                at = bad_value_error(group, path, hit[0], column, hit[1], "")
                return CurrencyError(what, where=at.where, cure=cure)
    return CurrencyError(what, where=_where(scan), cure=cure)


def _replace_charges(
    con: duckdb.DuckDBPyConnection,
    delivery: LandedDelivery,
    scan: Scan,
    load_number: int,
    counts: _Counts,
    now: datetime,
) -> None:
    """Within the transaction: old rows out, new rows in, control totals and restatements recorded."""
    _check_window(con, "staged_days", "charge_date", delivery)
    con.execute(
        render("load/old_days.sql", replaced=_replaced("charge_date", delivery)), {"source_name": delivery.source_name}
    )
    _remove_charges(con, delivery, now)
    values: dict[str, Any] = {
        "source_name": delivery.source_name,
        "source_type": delivery.source_type,
        "scope": delivery.scope,
        "delivery_id": delivery.delivery_id,
        "plain": PLAIN,
        "own": OWN,
        "has_tags": _count(con, "SELECT count(*) FROM canonical_tags") > 0,
        "has_rates": _count(con, "SELECT count(*) FROM day_rates WHERE currency <> ?", REPORTING_CURRENCY) > 0,
        "collapse": _count(con, render("load/must_collapse.sql")) > 0,
    }
    con.execute(render("load/insert_charges.sql", **values))
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
    con.execute(
        render("load/insert_restatements.sql", by=delivery.replaces),
        {"source_name": delivery.source_name, "delivery_id": delivery.delivery_id, "recorded_at": now},
    )
    counts.restatements = _count(
        con,
        "SELECT count(*) FROM ops.restatements WHERE delivery_id = ? AND recorded_at = ?",
        delivery.delivery_id,
        now,
    )
    totals = con.execute(render("load/staged_totals.sql")).fetchone()
    assert totals is not None
    counts.source_rows, billed, effective, currencies, currency = totals
    if currencies <= 1:
        counts.billed_cost, counts.effective_cost, counts.billing_currency = billed, effective, currency
    counts.charge_rows = _count(con, "SELECT count(*) FROM core.charges WHERE delivery_id = ?", delivery.delivery_id)


def _reconcile_load(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery) -> None:
    """Σ and rows of the scan = Σ and rows of what stands in core, per day and currency."""
    rows = con.execute(render("load/reconcile_load.sql"), {"delivery_id": delivery.delivery_id}).fetchall()
    for day, currency, measure, expected, actual in rows:
        raise ReconciliationError(
            f"{measure} of the source is {expected}, of core.charges {actual}",
            where=f"load, {delivery.source_name}, {delivery.scope}, {day}, {currency}",
        )


def _remove_charges(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, now: datetime) -> None:
    _remove(con, "core.charges", "charge_date", delivery)
    con.execute(
        render("load/supersede_days.sql", replaced=_replaced("charge_date", delivery)),
        {"source_name": delivery.source_name, "superseded_at": now},
    )
    con.execute(render("load/prune_days.sql"), {"keep_after": now - timedelta(days=SUPERSEDED_TOTALS_DAYS)})


def _remove(con: duckdb.DuckDBPyConnection, table: str, day_column: str, delivery: LandedDelivery) -> None:
    con.execute(
        render("load/remove.sql", table=table, replaced=_replaced(day_column, delivery)),
        {"source_name": delivery.source_name},
    )


def _replaced(day_column: str, delivery: LandedDelivery) -> str:
    """SQL for which of the source's rows the delivery replaces."""
    return render(
        "load/replaced.sql",
        by=delivery.replaces,
        day_column=day_column,
        scope=delivery.scope,
        window_start=delivery.window_start,
        window_end=delivery.window_end,
    ).strip()


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


# ---------------------------------------------------------------------------------- usage and calls


def _replace_usage(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, counts: _Counts) -> None:
    _check_window(con, "staged_usage", "usage_date", delivery)
    _remove(con, "core.metered_usage", "usage_date", delivery)
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
        counts.source_rows = _count(con, "SELECT count(*) FROM staged_usage")


def _replace_calls(wh: Warehouse, delivery: LandedDelivery, scan: Scan) -> int:
    """Replace the delivery's calls in the staging file, in a transaction of its own."""
    con = wh.con
    with _values_named(con, scan), wh.transaction():
        replaced = render(
            "load/replaced.sql",
            by=delivery.replaces,
            day_column="called_at::DATE",
            scope=delivery.scope,
            window_start=delivery.window_start,
            window_end=delivery.window_end,
        ).strip()
        for table, condition in (
            ("staging.stg_calls", replaced),
            ("staging.staged_deliveries", render("load/replaced_marks.sql", delivery=delivery).strip()),
        ):
            con.execute(
                render("load/remove.sql", table=table, replaced=condition), {"source_name": delivery.source_name}
            )
        con.execute(
            render("load/insert_calls.sql", scan=scan.select()),
            {"source_name": delivery.source_name, "scope": delivery.scope, "delivery_id": delivery.delivery_id},
        )
        _check_calls(con, delivery, scan)
        rows = _count(con, "SELECT count(*) FROM staging.stg_calls WHERE delivery_id = ?", delivery.delivery_id)
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
    return rows


def _check_calls(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, scan: Scan) -> None:
    footer_rows = scan.parquet_rows(con)
    rows = _count(con, "SELECT count(*) FROM staging.stg_calls WHERE delivery_id = ?", delivery.delivery_id)
    if footer_rows is not None and rows != footer_rows:
        raise ReconciliationError(f"{rows} calls were read of {footer_rows}", where=_where(scan))


# ------------------------------------------------------------------------------------------- record


def _record_delivery(
    con: duckdb.DuckDBPyConnection,
    delivery: LandedDelivery,
    scans: dict[str, Scan],
    load_number: int,
    counts: _Counts,
    notes: Sequence[str],
    now: datetime,
) -> None:
    con.execute(
        render("load/supersede_deliveries.sql"),
        {
            "source_name": delivery.source_name,
            "scope": delivery.scope,
            "delivery_id": delivery.delivery_id,
            "replaces": delivery.replaces,
            "window_start": delivery.window_start,
            "window_end": delivery.window_end,
        },
    )
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
    return _count(con, "SELECT coalesce(max(load_number), 0) + 1 FROM ops.deliveries")


def _count(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> int:
    row = con.execute(sql, list(parameters)).fetchone()
    return int(row[0]) if row else 0


def _create_from_arrow(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    con.register("_arrow", table)
    try:
        con.execute(render("load/create_from_arrow.sql", table=name))
    finally:
        con.unregister("_arrow")
