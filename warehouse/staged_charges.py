"""The charges of a delivery, staged: added up per day in one pass, classified, tags read, rates found.

    scan ─ distinct combinations of dimensions ─ classified ─ numbered as groups
         ─ one pass: daily sums per group, raw tags and resource ─▶ temp tables that the load inserts from

Everything that is the same for many rows is worked out once: what a SKU is, which columns tell the
groups apart, what a tag text means. The pass over the rows itself only looks numbers up and adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from warehouse.bad_rows import bad_value_error, find_bad_row, find_row
from warehouse.classification import Classification, Sku, boundaries, classify, provider_slug
from warehouse.errors import CurrencyError, LoadError, ReconciliationError
from warehouse.rates import Rates, rates_by_day, rates_table
from warehouse.scans import Scan
from warehouse.statements import quote_literal, render
from warehouse.tags import PREFIX, UNREAD, canonical_tags

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
KEYS = (*PLAIN, *OWN, "model", "token_type", "pattern_span")
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
# What classification says of a SKU.
FOUND = (
    "ai_kind",
    "workload",
    "canonical_model",
    "canonical_token_type",
    "pricing_tier",
    "gpu_type",
    "tokens_per_unit",
    "gpu_hours_factor",
    "gpu_hours_divisor",
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
MANY_TAG_TEXTS = 100_000  # more sets of tags than this are ids, not names
# What stage_charges leaves behind; the load drops it.
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
    "block_fees",
)


def stage_charges(con: duckdb.DuckDBPyConnection, scan: Scan, rates: Rates) -> list[str]:
    """Make temp tables staged_charges, charge_groups, staged_days and what they are joined with. Returns notes."""
    select = render("load/spanned.sql", scan=scan.select(), boundaries=boundaries())
    constant = {*scan.constant_columns(con), *(() if boundaries() else ("pattern_span",))}
    varying = [column for column in KEYS if column not in constant]
    con.execute(
        render(
            "load/seen_dimensions.sql",
            scan=select,
            varying=varying,
            constant=[column for column in KEYS if column in constant],
        )
    )
    notes = [*_name_rounded(con, scan), *_classify(con)]
    con.execute(render("load/dimension_groups.sql", plain=PLAIN, own=OWN, varying=varying, found=FOUND, sku=SKU))
    has_gpu = count(con, "SELECT count(*) FROM dimension_groups WHERE ai_kind = 'gpu'") > 0
    has_ai = has_gpu or count(con, "SELECT count(*) FROM dimension_groups WHERE is_ai") > 0
    columns = _telling_columns(con, varying, "whole_group" if has_gpu else "plain_group")
    values: dict[str, Any] = {"scan": select, "columns": columns, "has_gpu": has_gpu, "has_ai": has_ai}
    values["salt"] = _make_group_keys(con, values)
    values["known"] = _known_amounts(scan)
    values["units"] = scan.small_amounts()
    if has_gpu:
        _find_gpu_days(con, varying, select)
    con.execute(render("load/staged_charges.sql", **values))
    notes += _spread_block_fees(con, scan, values)
    _name_providers(con)
    con.execute(render("load/charge_groups.sql", plain=PLAIN, own=OWN, found=FOUND, has_gpu=has_gpu))
    con.execute(render("load/staged_days.sql"))
    _check_complete(con, scan, values["known"])
    notes += _canonical_tags(con, scan)
    notes += _name_exploding_tag(con)
    _day_rates(con, scan, rates)
    return notes


def _name_rounded(con: duckdb.DuckDBPyConnection, scan: Scan) -> list[str]:
    """Notes on amounts of more than twelve decimals: how many, and what rounding them changes.

    Amounts that are binary doubles have no decimals of their own, and are not looked at.
    """
    notes = []
    for group in scan.groups:
        exact = {name: text for name in group.layout.money if (text := group.columns.exact_money(name)) is not None}
        for name, expression in exact.items():
            row = con.execute(
                render("load/rounded.sql", relation=group.relation, exact=expression, money=group.columns.money(name))
            ).fetchone()
            if row is not None and row[0]:
                rows, changed = row
                what, them = ("amount has", "it") if rows == 1 else ("amounts have", "them")
                notes.append(
                    f"{group.shown(name)}: {rows} {what} more than 12 decimals; "
                    f"rounding {them} changes the sum by {changed.normalize():f}"
                )
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
    create_from_arrow(con, "sku_classes", pa.table(columns, schema=_SKU_CLASSES))
    if not unclassified:
        return []
    many = len(unclassified) > 1
    these = f"{len(unclassified)} SKUs look like AI and fit" if many else "a SKU looks like AI and fits"
    return [f"{these} no pattern, ai_kind is unclassified: {min(unclassified)!r}{' and others' if many else ''}"]


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


def _telling_columns(con: duckdb.DuckDBPyConnection, varying: Sequence[str], target: str) -> list[str]:
    """The few of the dimensions `varying` that tell the groups of this delivery apart.

    The combinations are complete, so what depends on what in them holds for every row. Looking a row
    up by three columns instead of twenty is most of what makes the load fast.
    """
    columns = list(varying)
    row = con.execute("SELECT count(*), sum(source_rows) FROM seen_dimensions").fetchone()
    combinations, rows = row or (0, 0)
    if combinations > MOST_COMBINATIONS_TO_REDUCE or (rows or 0) < FEWEST_ROWS_TO_REDUCE:
        return columns  # finding out would take longer than it saves
    found = con.execute(render("load/dimension_hashes.sql", columns=varying, target=target)).fetchnumpy()
    hashes = {name: np.asarray(values, np.uint64) for name, values in found.items()}
    told = hashes.pop("_target")
    key = np.sum(list(hashes.values()), axis=0, dtype=np.uint64)
    # Texts that are long or have many values are tried first: to leave one out saves most.
    for column in LONG_FIRST:
        if column not in columns:
            continue
        rest = key - hashes[column]
        if len(np.unique(rest)) == len(np.unique(rest + told)):
            columns.remove(column)
            key = rest
    row = con.execute(render("load/distinguishes.sql", columns=columns, target=target)).fetchone()
    if row is None or not row[0]:  # two hashes of 64 bits were equal by chance
        return list(varying)
    return columns


def _make_group_keys(con: duckdb.DuckDBPyConnection, values: dict[str, Any]) -> int:
    """Make temp table group_keys. Returns the salt under which no two keys have one hash."""
    for salt in range(8):
        con.execute(render("load/group_keys.sql", **values, salt=salt))
        if count(con, "SELECT count(*) - count(DISTINCT key_hash) FROM group_keys") == 0:
            return salt
    raise LoadError("two of its combinations of dimensions cannot be told apart by hash", cure="report it")


def _find_gpu_days(con: duckdb.DuckDBPyConnection, varying: Sequence[str], select: str) -> None:
    """Make temp table gpu_days. Where one column alone tells GPUs, the reader can skip all rows that are none."""
    columns = _telling_columns(con, varying, "ai_kind = 'gpu'") or list(KEYS[:1])
    has_nulls = count(con, render("load/gpu_nulls.sql", columns=columns)) > 0
    equal = "=" if len(columns) == 1 and not has_nulls else "IS NOT DISTINCT FROM"
    con.execute(render("load/gpu_days.sql", scan=select, columns=columns, equal=equal))


def _spread_block_fees(con: duckdb.DuckDBPyConnection, scan: Scan, values: dict[str, Any]) -> list[str]:
    """Spread what a CUR's Capacity Blocks cost over their hours, in staged_charges. Returns notes.

    The CUR books the whole price on the day of purchase, as AWS's own amortised view does; FOCUS and Cost Explorer
    come with an effective cost, or without hours.
    """
    if not any(group.layout.template == "cur" for group in scan.groups):
        return []
    if not count(con, "SELECT count(*) FROM seen_dimensions WHERE contains(sku_meter, 'CapacityBlock')"):
        return []
    con.execute(render("load/block_fees.sql", **values))
    con.execute(render("load/spread_charges.sql", known=values["known"], since=scan.since, until=scan.until))
    unspread = count(con, "SELECT count(*) FROM block_fees WHERE NOT has_term")
    if not unspread:
        return []
    told = "1 Capacity Block fee names" if unspread == 1 else f"{unspread} Capacity Block fees name"
    return [f"{told} no hours but those of the purchase: its effective cost stands on that day"]


def _known_amounts(scan: Scan) -> dict[str, bool]:
    """Which amounts have a value in every row, by the files' footers: they need not be counted."""
    layouts = [group.layout for group in scan.groups]
    return {
        name: all((column := layout.amounts[place]) is not None and scan.has_no_nulls(column) for layout in layouts)
        for place, name in enumerate(("billed_cost", "effective_cost", "list_cost"))
    }


def _check_complete(con: duckdb.DuckDBPyConnection, scan: Scan, known: dict[str, bool]) -> None:
    """No row without day, currency or cost: a sum that left it out would pass for the whole. No row lost."""
    row = con.execute(render("load/incomplete.sql", known=known)).fetchone()
    assert row is not None
    incomplete, seen_rows, staged_rows, counted_rows = row
    if incomplete:
        raise find_bad_row(con, scan) or LoadError("rows lack a day, a currency or a cost", where=scan.where())
    footer_rows = scan.parquet_rows(con)
    if not staged_rows == seen_rows == counted_rows or footer_rows not in (None, seen_rows):
        raise ReconciliationError(
            f"of {seen_rows if footer_rows is None else footer_rows} rows {staged_rows} were added up",
            where=scan.where(),
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
    create_from_arrow(con, "seen_providers", table)


def _canonical_tags(con: duckdb.DuckDBPyConnection, scan: Scan) -> list[str]:
    """Make temp table canonical_tags: raw text → canonical text. Returns notes."""
    prefix, listed = PREFIX, None
    if scan.groups:
        prefix, listed = scan.groups[0].layout.tag_prefix, scan.groups[0].columns.tag_keys
    con.execute(render("load/canonical_tags.sql", prefix=prefix))
    odd = [row[0] for row in con.execute("SELECT raw_tags FROM canonical_tags WHERE is_odd").fetchall()]
    if odd:
        read = [canonical_tags(raw, prefix, listed) for raw in odd]
        create_from_arrow(con, "odd_tags", pa.table({"raw_tags": odd, "tags": pa.array(read, pa.string())}))
        con.execute(
            "UPDATE canonical_tags SET tags = odd_tags.tags FROM odd_tags "
            "WHERE odd_tags.raw_tags = canonical_tags.raw_tags"
        )
        con.execute(render("load/drop_temporary.sql", table="odd_tags"))
    rows = count(con, render("load/unread_tags.sql", unread=f'"{UNREAD}":'))
    if not rows:
        return []
    told = "the tags of 1 row are" if rows == 1 else f"the tags of {rows:,} rows are"
    return [f"{told} no JSON object: {'kept unread under' if listed is None else 'marked'} {UNREAD!r}"]


def _name_exploding_tag(con: duckdb.DuckDBPyConnection) -> list[str]:
    """A note on the tag with the most values, where tags make far more rows than all else does."""
    tag_texts = count(con, "SELECT count(*) FROM canonical_tags")
    staged = count(con, "SELECT count(*) FROM staged_charges")
    if tag_texts < MANY_TAG_TEXTS or staged < tag_texts:
        return []
    row = con.execute(render("load/most_varied_tag.sql")).fetchone()
    if row is None:
        return []
    key, values = row
    return [
        f"the tag {key!r} has {values} values and makes {staged} daily rows: list the tags that matter under tag_keys"
    ]


def _day_rates(con: duckdb.DuckDBPyConnection, scan: Scan, rates: Rates) -> None:
    """Make temp table day_rates: currency, charge_date, usd_per_unit. Raises CurrencyError for a day without one."""
    days = con.execute("SELECT DISTINCT billing_currency, charge_date FROM staged_days").fetchall()
    rows, missing = rates_by_day(days, rates)
    if missing is not None:
        raise _no_rate(con, scan, *missing, sorted({row[0] for row in days}))
    create_from_arrow(con, "day_rates", rates_table(rows))


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
    return CurrencyError(what, where=scan.where(), cure=cure)


def count(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> int:
    """The whole number that a query answers."""
    row = con.execute(sql, list(parameters)).fetchone()
    return int(row[0]) if row else 0


def create_from_arrow(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Make a temp table of an Arrow table's rows."""
    con.register("_arrow", table)
    try:
        con.execute(render("load/create_from_arrow.sql", table=name))
    finally:
        con.unregister("_arrow")
