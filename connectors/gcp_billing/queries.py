"""The queries, rendered from sql/*.sql for the columns that the table has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors.bigquery import Parameter, Query
from connectors.gcp_billing.labels import CHARGES_LABELS, FOCUS_LABELS, label_fields
from connectors.gcp_billing.schema import (
    FOCUS_TAGS,
    FOCUS_TEXTS,
    FOCUS_TIMES,
    FOCUS_WORDS,
    LANDED_CHARGES,
    PROMOTIONAL_CREDITS,
    TEXTS,
)
from connectors.gcp_billing.tables import ExportTable
from connectors.schema import MONEY, QUANTITY

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "sql"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # It writes SQL: nothing is to be escaped for HTML. Table and column names come from the table's own
    # metadata and from checked options, values travel as parameters.
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


def _render(template: str, table: ExportTable, condition: str, **values: Any) -> str:
    return _environment().get_template(template).render(table=f"`{table.path}`", condition=condition, **values).strip()


def partitions_query(table: ExportTable, since: date) -> Query:
    """partition_start (null: rows without a partition day), newest_export, export_rows."""
    condition, parameters = table.partitioning.since(since)
    sql = _render("partitions.sql", table, condition, bucket=table.partitioning.bucket, export_time=table.export_time)
    return Query(sql, parameters, table.location)


def freshness_query(table: ExportTable, since: date) -> Query:
    """newest_export and asked_at, over the partitions since a day."""
    condition, parameters = table.partitioning.since(since)
    return Query(_render("freshness.sql", table, condition, export_time=table.export_time), parameters, table.location)


def partition_query(table: ExportTable, tag_keys: tuple[str, ...] | None, start: date | None) -> Query:
    """The charges of one partition, in the landed columns of the table's layout."""
    return _charges_query(table, tag_keys, *table.partitioning.within(start))


def landed_schema(table: ExportTable) -> pa.Schema:
    """The columns in which a partition of this table is landed."""
    if table.layout == "charges":
        return LANDED_CHARGES
    quantity = table.field("ConsumedQuantity", "PricingQuantity")
    return pa.schema(
        [
            *((name, pa.timestamp("us", tz="UTC")) for name in FOCUS_TIMES),
            *((name, pa.string()) for name in _focus_texts(table)),
            (FOCUS_TAGS, pa.string()),
            ("BilledCost", MONEY),
            ("EffectiveCost", MONEY),
            ("ListCost", MONEY),
            *([(quantity, QUANTITY)] if quantity else []),
            ("source_rows", pa.int64()),
        ]
    )


def recent_query(table: ExportTable, tag_keys: tuple[str, ...] | None, since: date) -> Query:
    """The charges of the partitions since a day; only ever run dry."""
    return _charges_query(table, tag_keys, *table.partitioning.since(since))


def _charges_query(
    table: ExportTable, tag_keys: tuple[str, ...] | None, condition: str, parameters: Mapping[str, Parameter]
) -> Query:
    is_focus = table.layout == "focus"
    labels = label_fields(FOCUS_LABELS if is_focus else CHARGES_LABELS, table.fields, tag_keys)
    sql = _render(
        "focus.sql" if is_focus else "charges.sql",
        table,
        condition,
        labels=labels,
        **(_focus_values(table) if is_focus else _charges_values(table)),
    )
    keys = {f"{label.column}_keys": label.allowed for label in labels if label.allowed is not None}
    return Query(sql, {**parameters, **keys}, table.location)


def _charges_values(table: ExportTable) -> dict[str, Any]:
    return {
        "texts": {column: table.field(path) for column, path in TEXTS.items()},
        "promotional": _promotional("type") if table.field("credits.type") else "FALSE",
        "list_cost": table.field("cost_at_list"),
        "quantity": table.field("usage.amount_in_pricing_units"),
    }


def _focus_values(table: ExportTable) -> dict[str, Any]:
    texts = {name: _column(table, name) for name in _focus_texts(table)}
    for name in {"ChargeCategory", "ChargeClass"} & texts.keys():
        spelled = " ".join(f"WHEN '{word.lower()}' THEN '{word}'" for word in FOCUS_WORDS)
        texts[name] = f"CASE {texts[name]} {spelled} ELSE {texts[name]} END"
    quantity = table.field("ConsumedQuantity", "PricingQuantity")
    parts = _members(table, "x_Credits")
    return {
        "texts": texts,
        "promotional": _promotional(parts["type"]) if {"type", "amount"} <= parts.keys() else None,
        "credits": "x_Credits",
        "credit_amount": parts.get("amount"),
        "list_cost": _column(table, "ListCost") if table.field("ListCost") else None,
        "quantity_name": quantity,
        "quantity": _column(table, quantity) if quantity else None,
        "billed_cost": _column(table, "BilledCost"),
        "effective_cost": _column(table, "EffectiveCost"),
    }


def _focus_texts(table: ExportTable) -> list[str]:
    return [name for names in FOCUS_TEXTS if (name := table.field(*names)) is not None]


def _column(table: ExportTable, canonical: str) -> str:
    return f"line.`{table.fields[canonical].name}`"


def _promotional(kind: str) -> str:
    """SQL: whether credit `c` is promotional. What names no type is none: it stays in the cost."""
    types = ", ".join(f"'{name}'" for name in PROMOTIONAL_CREDITS)
    return f"c.{kind} IN ({types})"


def _members(table: ExportTable, path: str) -> dict[str, str]:
    """Fields of a record, by their names in lower case."""
    field = table.fields.get(path)
    return {} if field is None else {member.name.lower(): member.name for member in field.fields}
