"""OpenRouter's landed answers → charges and metered usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.base import Parsed, Rows
from connectors.documents import (
    EXACT,
    UnknownFields,
    read_count,
    read_decimal,
    read_document,
    read_list,
    read_money,
    read_text,
    to_scale,
    wrong,
)
from connectors.errors import PayloadError
from connectors.rows import Table, add_amounts, add_counts
from connectors.schema import CHARGES, METERED_USAGE

FIELDS = frozenset(
    {
        "date",
        "model",
        "model_permaslug",
        "endpoint_id",
        "provider_name",
        "usage",
        "byok_usage_inference",
        "requests",
        "byok_requests",
        "prompt_tokens",
        "completion_tokens",
        "reasoning_tokens",
    }
)
# "2025-08-24", also seen as "2025-08-24 00:00:00".
DAY = re.compile(r"(\d{4}-\d{2}-\d{2})([T ]00:00:00(\.0+)?(Z|\+00:00)?)?")
MEASURES = ("requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def read_activity_day(row: Mapping[str, Any], *, where: str) -> date:
    """The UTC day of one row of activity. Raises PayloadError."""
    text = read_text(row, "date", where=where) or ""
    match = DAY.fullmatch(text)
    try:
        return date.fromisoformat(match[1] if match else "")
    except ValueError:
        raise wrong(where, "date", "a day", row.get("date")) from None


def parse_files(files: Mapping[str, Path], *, organization: str | None) -> Parsed:
    """Rows of layout "charges" and "metered_usage", and notes. Raises PayloadError naming page and field."""
    if "about.json" not in files:
        raise PayloadError("the delivery is not whole", where="about.json", cure="fetch the window again")
    unknown = UnknownFields()
    charges = Table(CHARGES, measures=("consumed_quantity", "billed_cost", "effective_cost"), add=add_amounts)
    usage = Table(METERED_USAGE, measures=MEASURES, add=add_counts)
    own_keys = Decimal(0)
    for name in sorted(files):
        if not name.startswith("activity-"):
            continue
        document = read_document(files[name], name=name)
        unknown.look(document, frozenset({"data"}), "activity")
        for index, row in enumerate(read_list(document, "data", where=name)):
            where = f"{name} data[{index}]"
            unknown.look(row, FIELDS, "activity row")
            day = read_activity_day(row, where=where)
            slug = read_text(row, "model", where=where)
            model = slug.rpartition("/")[2] if slug else None
            prompt, completion, reasoning = (
                read_count(row, field, where=where)
                for field in ("prompt_tokens", "completion_tokens", "reasoning_tokens")
            )
            tokens = add_counts(prompt, completion)
            dollars = to_scale(read_money(row, "usage", where=where))
            own_keys = EXACT.add(own_keys, read_decimal(row, "byok_usage_inference", where=where) or Decimal(0))
            host = read_text(row, "provider_name", where=where)
            charges.add(
                {
                    "charge_date": day,
                    "billing_period_start": day.replace(day=1),
                    "billing_account_id": organization,
                    "invoice_issuer_name": "OpenRouter",
                    "provider_name": "OpenRouter",
                    "service_name": "OpenRouter API",
                    "service_category": "AI and Machine Learning",
                    "sku_id": read_text(row, "model_permaslug", where=where),
                    "sku_meter": slug,
                    "charge_description": f"{slug} served by {host}" if slug and host else slug,
                    "charge_category": "Usage",
                    "resource_id": read_text(row, "endpoint_id", where=where),
                    "model": model,
                    "consumed_quantity": None if tokens is None else to_scale(Decimal(tokens)),
                    "consumed_unit": None if tokens is None else "tokens",
                    "billed_cost": dollars,
                    "effective_cost": dollars,
                    "billing_currency": "USD",  # OpenRouter keeps its credits in dollars
                    "basis": "reported",
                }
            )
            usage.add(
                {
                    "usage_date": day,
                    "model": model,
                    "requests": read_count(row, "requests", where=where),
                    "input_tokens": prompt,
                    "output_tokens": _without_reasoning(completion, reasoning, where),
                    "reasoning_tokens": reasoning,
                }
            )
    notes = (
        [note] if (note := read_text(read_document(files["about.json"], name="about.json"), "note", where="")) else []
    )
    if own_keys:
        notes.append(f"{own_keys:f} USD ran on keys of your own: its providers bill it, so it is not a charge here")
    notes.extend(unknown.notes())
    return Parsed(
        parts=(Rows("charges", charges.to_arrow()), Rows("metered_usage", usage.to_arrow())), notes=tuple(notes)
    )


def _without_reasoning(completion: int | None, reasoning: int | None, where: str) -> int | None:
    """Completion tokens contain the reasoning ones; our kinds are disjoint."""
    if completion is None or reasoning is None:
        return completion
    if reasoning > completion:
        raise wrong(where, "reasoning_tokens", f"at most completion_tokens ({completion})", reasoning)
    return completion - reasoning
