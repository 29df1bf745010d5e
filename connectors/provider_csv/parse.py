"""One landed console export → charges, or metered usage where it counts tokens without costs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import Parsed, Rows
from connectors.documents import read_document, to_scale
from connectors.errors import PayloadError
from connectors.openai.parse import pricing_tier, read_line_item, split_input
from connectors.provider_csv.exports import EXPORT_AGAIN, ExportFile, Row, open_export
from connectors.rows import Table, add_amounts, add_counts, tags_text
from connectors.schema import CHARGES, METERED_USAGE

# Written beside a file some of whose days a newer export holds: {"<day>": "<name of the newer file>"}.
TAKEN = "days-in-newer-exports.json"
METERED = ("requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
CLAUDE_TOKEN_TYPES = {
    "input_no_cache": "input",
    "input_cache_read": "cache_read",
    # Older exports name no lifetime: the shortest, as in the classification.
    "input_cache_write": "cache_write_5m",
    "input_cache_write_5m": "cache_write_5m",
    "input_cache_write_1h": "cache_write_1h",
    "output": "output",
}
CLAUDE_TIERS = {"standard": "standard", "message": "standard", "batch": "batch", "flex": "flex", "priority": "priority"}


def parse_files(files: Mapping[str, Path], *, organization: str | None) -> Parsed:
    """Rows of layout "charges" or "metered_usage", and notes. Raises PayloadError naming file, line and column."""
    taken = read_document(files[TAKEN], name=TAKEN) if TAKEN in files else {}
    [(name, path)] = [(name, path) for name, path in files.items() if name != TAKEN]
    file = open_export(name, path)
    notes = Counter[str]()
    kept = (row for row in file.rows() if str(export_day(file, row)) not in taken)
    layout, table = _READERS[file.export.kind](kept, organization, notes)
    return Parsed(parts=(Rows(layout, table),), notes=tuple(_notes(file, taken, notes)))


def export_day(file: ExportFile, row: Row) -> date:
    """The UTC day that a row of this export speaks for."""
    return row.bucket_day() if file.export.kind.startswith("openai") else row.day("usage_date_utc")


def _notes(file: ExportFile, taken: Mapping[str, str], counted: Counter[str]) -> Iterator[str]:
    yield f"read as {file.export.title}"
    if file.table.is_empty:
        yield f"{file.table.name}: a header and no rows"
    for column in file.unknown:
        yield f"unknown column {column[:64]!r}: kept in the landed file, not used"
    for newer in sorted(set(taken.values())):
        days = sorted(day for day, name in taken.items() if name == newer)
        told = days[0] if len(days) == 1 else f"{len(days)} days from {days[0]} to {days[-1]}"
        yield f"{told} read from the newer export {newer}, not from this one"
    for note, count in sorted(counted.items()):
        yield f"rows that {note}: {count}"


def _openai_cost(rows: Iterator[Row], organization: str | None, notes: Counter[str]) -> tuple[Any, pa.Table]:
    table = Table(CHARGES, measures=("consumed_quantity", "billed_cost", "effective_cost"), add=add_amounts)
    for row in rows:
        if row.amount("amount_value") is None and not row.cells.keys() & _SAYS_SOMETHING:
            continue  # a day on which nothing was used: OpenAI writes its bucket with nothing in it
        cost = to_scale(row.money("amount_value"))
        currency = row.text("amount_currency") or ""
        if not re.fullmatch(r"[A-Za-z]{3}", currency):
            raise row.wrong("amount_currency", "a currency code of three letters")
        line_item = row.text("line_item")
        if line_item is None:
            notes["name no line item (export grouped by line item, and models are known)"] += 1
        model, token_type = read_line_item(line_item)
        quantity, day = row.amount("quantity"), row.bucket_day()
        table.add(
            {
                "charge_date": day,
                "billing_period_start": day.replace(day=1),
                "billing_account_id": row.text("organization_id") or organization,
                "sub_account_id": row.text("project_id"),
                "sub_account_name": row.text("project_name"),
                "invoice_issuer_name": "OpenAI",
                "provider_name": "OpenAI",
                "service_name": "OpenAI API",
                "service_category": "AI and Machine Learning",
                "sku_meter": line_item,
                "charge_category": "Usage",
                "api_key_id": row.text("api_key_id"),
                "model": model,
                "token_type": token_type,
                # The user's e-mail address stays in the file.
                "tags": tags_text({"api_source": row.text("api_source"), "user_id": row.text("user_id")}),
                "consumed_quantity": None if quantity is None else to_scale(quantity),
                "consumed_unit": row.text("quantity_unit"),
                "billed_cost": cost,
                "effective_cost": cost,
                "billing_currency": currency.upper(),
                "basis": "reported",
            }
        )
    return "charges", table.to_arrow()


# What a bucket with nothing in it lacks; its organization and user may stand there all the same.
_SAYS_SOMETHING = frozenset({"quantity", "line_item", "api_key_id", "project_id"})


def _claude_cost(rows: Iterator[Row], organization: str | None, notes: Counter[str]) -> tuple[Any, pa.Table]:
    table = Table(CHARGES, measures=("billed_cost", "effective_cost", "list_cost"), add=add_amounts)
    for row in rows:
        cost, list_cost, day = to_scale(row.money("cost_usd")), row.amount("list_price_usd"), row.day("usage_date_utc")
        model, token_type = row.text("model"), row.text("token_type")
        if token_type is not None and token_type not in CLAUDE_TOKEN_TYPES:
            notes[f"have the unknown token type {token_type[:64]!r} (left open)"] += 1
        meter = [model, token_type or row.text("cost_type")]
        table.add(
            {
                "charge_date": day,
                "billing_period_start": day.replace(day=1),
                "billing_account_id": organization,
                # The console names workspaces; their ids are known to the API only.
                "sub_account_name": row.text("workspace"),
                "invoice_issuer_name": "Anthropic",
                "provider_name": "Anthropic",
                "service_name": "Claude API",
                "service_category": "AI and Machine Learning",
                "sku_meter": ", ".join(part for part in meter if part) or None,
                "charge_description": ", ".join(_claude_terms(row)) or None,
                "charge_category": "Usage",
                "api_key_id": row.text("api_key_id"),
                "model": model,
                "token_type": CLAUDE_TOKEN_TYPES.get(token_type or ""),
                "tags": tags_text({"api_key_name": row.text("api_key")}),
                "billed_cost": cost,
                "effective_cost": cost,
                "list_cost": None if list_cost is None else to_scale(list_cost),
                "billing_currency": "USD",
                "basis": "reported",
            }
        )
    return "charges", table.to_arrow()


def _claude_terms(row: Row) -> Iterator[str]:
    """What the classification reads the tier from, in the words of the `anthropic` source."""
    for label, column in (("tier", "usage_type"), ("context", "context_window"), ("region", "inference_geo")):
        text = row.text(column)
        if text is not None and text != "not_available":
            yield f"{label} {text}"
    if row.text("speed") == "fast":
        yield "fast mode"


def _openai_usage(rows: Iterator[Row], organization: str | None, notes: Counter[str]) -> tuple[Any, pa.Table]:
    table = Table(METERED_USAGE, measures=METERED, add=add_counts)
    for row in rows:
        if row.count("num_model_requests") is None and row.count("input_tokens") is None:
            continue  # a day on which nothing was used
        counts: dict[str, Any] = {name: row.count(name) for name in _OPENAI_COUNTS}
        try:
            uncached, cached, written = split_input(counts, row.where)
        except PayloadError as error:
            raise PayloadError(error.what, where=error.where, cure=EXPORT_AGAIN) from None
        strange: set[str] = set()
        is_batch = (row.text("batch") or "").lower() in ("true", "1")
        tier = pricing_tier({"batch": is_batch, "service_tier": row.text("service_tier")}, row.where, strange)
        notes.update(f"have the unknown service tier {name[:64]!r} (pricing tier left open)" for name in strange)
        table.add(
            {
                "usage_date": row.bucket_day(),
                "sub_account_id": row.text("project_id"),
                "api_key_id": row.text("api_key_id"),
                "model": row.text("model"),
                "pricing_tier": tier,
                "requests": row.count("num_model_requests"),
                "input_tokens": uncached,
                "cache_read_tokens": cached,
                "cache_write_tokens": written,
                "output_tokens": row.count("output_tokens"),
            }
        )
    return "metered_usage", table.to_arrow()


_OPENAI_COUNTS = ("input_tokens", "input_cached_tokens", "input_cache_write_tokens", "input_uncached_tokens")


def _claude_tokens(rows: Iterator[Row], organization: str | None, notes: Counter[str]) -> tuple[Any, pa.Table]:
    table = Table(METERED_USAGE, measures=METERED, add=add_counts)
    for row in rows:
        tier = row.text("usage_type")
        if tier is not None and tier not in CLAUDE_TIERS:
            notes[f"have the unknown usage type {tier[:64]!r} (pricing tier left open)"] += 1
        written = [row.count(name) for name in _CLAUDE_CACHE_WRITES if row.count(name) is not None]
        table.add(
            {
                "usage_date": row.day("usage_date_utc"),
                "api_key_id": row.text("api_key_id"),
                "model": row.text("model_version"),
                "pricing_tier": CLAUDE_TIERS.get(tier or ""),
                "input_tokens": row.count("usage_input_tokens_no_cache"),
                "cache_read_tokens": row.count("usage_input_tokens_cache_read"),
                "cache_write_tokens": sum(count for count in written if count) if written else None,
                "output_tokens": row.count("usage_output_tokens"),
            }
        )
    return "metered_usage", table.to_arrow()


_CLAUDE_CACHE_WRITES = (
    "usage_input_tokens_cache_write",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
)
_READERS = {
    "openai_cost": _openai_cost,
    "openai_usage": _openai_usage,
    "claude_cost": _claude_cost,
    "claude_tokens": _claude_tokens,
}
