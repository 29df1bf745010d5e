"""A landed partition → typed charges, or a scan in FOCUS terms."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.base import FileScan, Parsed, Rows
from connectors.documents import read_document
from connectors.errors import PayloadError
from connectors.gcp_billing.labels import CHARGES_LABELS, merge_labels
from connectors.gcp_billing.schema import ABOUT_FILE, CHARGE_CATEGORIES, FOCUS_ISSUER, ROWS_FILES
from connectors.schema import CHARGES, MONEY

MEASURES = ("consumed_quantity", "billed_cost", "effective_cost", "list_cost")
# A bill of this many rows a day is worth a word on the label that makes it so long.
MANY_ROWS = 100_000


def parse_files(files: Mapping[str, Path]) -> Parsed:
    """`Rows` of layout "charges" (standard, detailed), or a FileScan of layout "focus".

    Raises PayloadError when `partition.json` is missing.
    """
    if ABOUT_FILE not in files:
        raise PayloadError("the delivery lacks this file", where=ABOUT_FILE, cure="fetch the partition again")
    about = read_document(files[ABOUT_FILE], name=ABOUT_FILE)
    notes = [f"unknown column {name[:64]!r} in {about['table']}: not read" for name in about["unknown_columns"]]
    if ROWS_FILES["focus"] in files:
        return Parsed((_focus_scan(files[ROWS_FILES["focus"]]),), tuple(notes))
    if ROWS_FILES["charges"] not in files:
        # An empty table, and not nothing: what the partition said before is taken back, and recorded.
        return Parsed((Rows("charges", CHARGES.empty_table()),), tuple(notes))
    landed = pq.read_table(files[ROWS_FILES["charges"]])
    notes += _notes(landed, about)
    return Parsed((Rows("charges", read_charges(landed)),), tuple(notes))


def read_charges(landed: pa.Table) -> pa.Table:
    """Landed groups as CHARGES: each is a charge net of its discounts, and a Credit where it has promotional ones."""
    count = landed.num_rows
    columns: dict[str, Any] = {
        "charge_date": landed["charge_date"],
        "billing_period_start": _each(landed["invoice_month"], _month, pa.date32()),
        "billing_account_id": landed["billing_account_id"],
        "sub_account_id": landed["project_id"],
        "sub_account_name": landed["project_name"],
        "invoice_issuer_name": pa.repeat(FOCUS_ISSUER, count),
        "provider_name": pa.repeat(FOCUS_ISSUER, count),
        "service_name": landed["service"],
        "sku_id": landed["sku_id"],
        "sku_meter": landed["sku"],
        "charge_description": landed["adjustment"],
        "charge_category": _each(landed["cost_type"], _category, pa.string()),
        "region_id": pc.coalesce(landed["region"], landed["location"]),
        "resource_id": pc.coalesce(landed["resource_name"], landed["resource_global_name"]),
        "tags": merge_labels({name: landed[name] for name in CHARGES_LABELS}),
        "consumed_quantity": landed["consumed_quantity"],
        "consumed_unit": landed["pricing_unit"],
        "billed_cost": _sum(landed["gross_cost"], landed["other_credits"]),
        "list_cost": landed["list_cost"],
        "billing_currency": landed["currency"],
        "basis": pa.repeat("reported", count),
    }
    columns["effective_cost"] = columns["billed_cost"]
    credits = {
        **columns,
        "charge_category": pa.repeat("Credit", count),
        "charge_description": pa.repeat("Promotional credits", count),
        "consumed_quantity": pa.nulls(count),
        "consumed_unit": pa.nulls(count),
        "billed_cost": landed["promotional_credits"],
        "effective_cost": landed["promotional_credits"],
        "list_cost": pa.repeat(pa.scalar(0, MONEY), count),
    }
    has_credits = pc.greater(landed["promotional_credit_count"], 0)
    return _add_up(pa.concat_tables([_as_charges(columns, count), _as_charges(credits, count).filter(has_credits)]))


def _as_charges(columns: Mapping[str, Any], count: int) -> pa.Table:
    arrays = [columns[field.name] if field.name in columns else pa.nulls(count) for field in CHARGES]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, CHARGES, strict=True)], schema=CHARGES)


def _add_up(table: pa.Table) -> pa.Table:
    """Rows of equal dimensions as one: two texts of labels, or two cost types, may mean the same."""
    dimensions = [name for name in CHARGES.names if name not in MEASURES]
    known = pc.ScalarAggregateOptions(skip_nulls=True, min_count=1)
    every = pc.ScalarAggregateOptions(skip_nulls=False)  # of a sum, a part that is not known leaves none
    options = {"consumed_quantity": known, "list_cost": every}
    grouped = table.group_by(dimensions, use_threads=False).aggregate(
        [(name, "sum", options.get(name, known)) for name in MEASURES]
    )
    renamed = grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names])
    return renamed.select(CHARGES.names).cast(CHARGES)


def _sum(left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
    # One digit of room for the carry; amounts of 25 digits before the point do not occur.
    narrow = pa.decimal128(37, 12)
    return pc.add(left.cast(narrow), right.cast(narrow)).cast(MONEY)


def _each(column: pa.ChunkedArray, read: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """`read` of each text; it runs once per distinct text. Null stays null."""
    encoded = column.combine_chunks().dictionary_encode()
    read_once = pa.array([read(text) for text in encoded.dictionary.to_pylist()], kind)
    return read_once.take(encoded.indices)


def _month(text: str) -> date | None:
    """The first day of invoice.month, "202601"."""
    match = re.fullmatch(r"(\d{4})(0[1-9]|1[0-2])", text)
    return date(int(match.group(1)), int(match.group(2)), 1) if match else None


def _category(cost_type: str) -> str:
    return CHARGE_CATEGORIES.get(cost_type.lower(), "Usage")


def _notes(landed: pa.Table, about: Mapping[str, Any]) -> Iterator[str]:
    where = about["partition"]
    lacking = pc.sum(landed["rows_without_cost"]).as_py() or 0
    if lacking:
        yield f"{where}: {lacking} of {about['export_rows']} rows have no cost: counted as 0"
    for cost_type in pc.unique(landed["cost_type"]).to_pylist():
        if cost_type is not None and cost_type.lower() not in CHARGE_CATEGORIES:
            yield f"{where}: cost_type {cost_type[:64]!r} is not documented: taken for usage"
    if landed.num_rows >= MANY_ROWS and about["tag_keys"] is None:
        values: dict[str, set[str]] = defaultdict(set)
        for text in pc.unique(merge_labels({name: landed[name] for name in CHARGES_LABELS})).to_pylist():
            for name, value in json.loads(text or "{}").items():
                values[name].add(value)
        key = max(values, key=lambda name: len(values[name]), default=None)
        if key is not None and len(values[key]) * 20 >= landed.num_rows:
            yield (
                f"{where}: {landed.num_rows} rows, most of them because of the label {key!r} with "
                f"{len(values[key])} values: list the labels that you use under tag_keys"
            )


def _focus_scan(path: Path) -> FileScan:
    names = pq.read_schema(path).names
    columns = {name: name for name in names if name != "source_rows"}
    if "SkuMeter" not in columns and "ChargeDescription" in columns:
        columns["SkuMeter"] = "ChargeDescription"  # Google's export has the SKU's text there
    constants = {}
    if "InvoiceIssuerName" not in columns:
        constants["InvoiceIssuerName"] = FOCUS_ISSUER
    if "ProviderName" not in columns and "ServiceProviderName" not in columns:
        constants["ProviderName"] = FOCUS_ISSUER
    return FileScan("focus", "parquet", (path,), columns, null_text=(), constants=constants)
