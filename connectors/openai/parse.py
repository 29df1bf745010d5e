"""OpenAI's landed pages → charges (one per day, project, line item, key) and metered usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import Parsed, Rows
from connectors.bucketed_reports import RepeatedGroups, read_buckets, read_hours
from connectors.documents import (
    UnknownFields,
    read_count,
    read_decimal,
    read_document,
    read_flag,
    read_money,
    read_object,
    read_text,
    to_scale,
    wrong,
)
from connectors.errors import PayloadError
from connectors.rows import Table, add_amounts, add_counts, tags_text
from connectors.schema import CHARGES, METERED_HOURS, METERED_USAGE

BUCKET_FIELDS = frozenset({"object", "start_time", "end_time", "start_time_iso", "end_time_iso", "results"})
COST_FIELDS = frozenset(
    {
        "object",
        "amount",
        "line_item",
        "project_id",
        "project_name",
        "api_key_id",
        "organization_id",
        "organization_name",
        "quantity",
        "quantity_unit",
    }
)
AMOUNT_FIELDS = frozenset({"value", "currency"})
# Splits of totals that are read, and dimensions that were not asked for (always null).
USAGE_FIELDS = frozenset(
    {
        "object",
        "input_tokens",
        "input_cached_tokens",
        "input_cache_write_tokens",
        "input_uncached_tokens",
        "output_tokens",
        "input_text_tokens",
        "output_text_tokens",
        "input_cached_text_tokens",
        "input_audio_tokens",
        "input_cached_audio_tokens",
        "output_audio_tokens",
        "input_image_tokens",
        "input_cached_image_tokens",
        "output_image_tokens",
        "num_model_requests",
        "images",
        "size",
        "source",
        "characters",
        "seconds",
        "project_id",
        "project_name",
        "organization_id",
        "organization_name",
        "user_id",
        "user_email",
        "api_key_id",
        "model",
        "batch",
        "service_tier",
        "usage_bytes",
        "num_sessions",
        "num_requests",
        "vector_store_id",
        "context_level",
    }
)
# What is metered otherwise than in tokens: kind of usage → (field, unit).
QUANTITIES = {
    "images": ("images", "images"),
    "audio_speeches": ("characters", "characters"),
    "audio_transcriptions": ("seconds", "seconds"),
    "vector_stores": ("usage_bytes", "bytes"),
    "code_interpreter_sessions": ("num_sessions", "sessions"),
    "file_search_calls": ("num_requests", "calls"),
    "web_search_calls": ("num_requests", "calls"),
}
MEASURES = (
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "quantity",
)
SERVICE_TIERS = {
    "auto": "standard",
    "default": "standard",
    "standard": "standard",
    "flex": "flex",
    "priority": "priority",
    "scale": "provisioned",
}
# "gpt-5-nano, input_tokens"; older: "gpt-4o-2024-08-06, cached input".
LINE_ITEM = re.compile(r"(?P<model>[^,|]+), (?P<kind>[^,|]+)")
# What may stand beside the word that decides: modality and processing do not change the token type.
BESIDE = frozenset(
    {"token", "tokens", "text", "audio", "image", "batch", "flex", "priority", "standard", "default", "training"}
)
# OpenAI names no lifetime of a cache write: it counts with the shortest kind, as in the classification.
TOKEN_TYPES = {
    frozenset({"input"}): "input",
    frozenset({"uncached", "input"}): "input",
    frozenset({"cached", "input"}): "cache_read",
    frozenset({"cache", "read"}): "cache_read",
    frozenset({"cache", "read", "input"}): "cache_read",
    frozenset({"cache", "write"}): "cache_write_5m",
    frozenset({"cache", "write", "input"}): "cache_write_5m",
    frozenset({"output"}): "output",
    frozenset({"reasoning"}): "reasoning",
    frozenset({"reasoning", "output"}): "reasoning",
}


def read_line_item(line_item: str | None) -> tuple[str | None, str | None]:
    """(model, token_type) of a line item of the form "<model>, <kind>"; (None, None) of any other.

    A line item of another form keeps its text as sku_meter, for the classification to read.
    """
    match = LINE_ITEM.fullmatch(line_item or "")
    if match is None:
        return None, None
    words = frozenset(re.findall(r"[a-z]+", match["kind"].lower()))
    token_type = TOKEN_TYPES.get(words - BESIDE)
    return (match["model"].strip(), token_type) if token_type else (None, None)


def parse_files(files: Mapping[str, Path], *, organization: str | None) -> Parsed:
    """Rows of layout "charges" and "metered_usage" (of hours: "metered_hours"), and notes.

    Raises PayloadError naming page and field.
    """
    unknown = UnknownFields()
    notes: list[str] = []
    if not any(name.startswith("costs-") for name in files) and _is_of_hours(files):
        hours = _read_hours(files, unknown, notes)
        return Parsed(parts=(Rows("metered_hours", hours),), notes=(*notes, *unknown.notes()))
    projects, keys = _read_names(files, notes)
    charges = _read_charges(files, projects, keys, organization, unknown, notes)
    usage = _read_usage(files, unknown, notes)
    notes.extend(unknown.notes())
    untold = tuple(
        sorted(name.removeprefix("unavailable-").removesuffix(".json") for name in files if _is_refusal(name))
    )
    return Parsed(parts=(Rows("charges", charges), Rows("metered_usage", usage, untold)), notes=tuple(notes))


def _read_names(files: Mapping[str, Path], notes: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Names of projects and of API keys, by id; empty where the delivery has none."""
    if "names.json" not in files:
        return {}, {}
    document = read_document(files["names.json"], name="names.json")
    notes.extend(f"no names of {reason}" for reason in document.get("missing", []))
    return (
        read_object(document, "projects", where="names.json"),
        read_object(document, "api_keys", where="names.json"),
    )


def _read_charges(
    files: Mapping[str, Path],
    projects: Mapping[str, Any],
    keys: Mapping[str, Any],
    organization: str | None,
    unknown: UnknownFields,
    notes: list[str],
) -> pa.Table:
    repeated = RepeatedGroups()
    table = Table(CHARGES, measures=("consumed_quantity", "billed_cost", "effective_cost"), add=add_amounts)
    if not any(name.startswith("costs-") for name in files):
        raise PayloadError("no page of costs in the delivery", where="costs-0001.json", cure="fetch the window again")
    results = read_buckets(files, "costs-", unknown, day_field="start_time", bucket_fields=BUCKET_FIELDS)
    for where, day, result in results:
        unknown.look(result, COST_FIELDS, "costs")
        amount = read_object(result, "amount", where=where)
        unknown.look(amount, AMOUNT_FIELDS, "costs amount")
        cost = to_scale(read_money(amount, "value", where=where))
        currency = read_text(amount, "currency", where=where)
        if currency is None or not re.fullmatch(r"[A-Za-z]{3}", currency):
            raise wrong(where, "currency", "a currency code of three letters", currency)
        line_item = read_text(result, "line_item", where=where)
        project = read_text(result, "project_id", where=where)
        key = read_text(result, "api_key_id", where=where)
        model, token_type = read_line_item(line_item)
        quantity = read_decimal(result, "quantity", where=where)
        unit = read_text(result, "quantity_unit", where=where)
        account = read_text(result, "organization_id", where=where)
        if repeated.is_repeat(where, day, (line_item, project, key, account, unit, currency.upper()), (cost, quantity)):
            continue
        table.add(
            {
                "charge_date": day,
                "billing_period_start": day.replace(day=1),
                "billing_account_id": account or organization,
                "sub_account_id": project,
                "sub_account_name": read_text(result, "project_name", where=where) or projects.get(project or ""),
                "invoice_issuer_name": "OpenAI",
                "provider_name": "OpenAI",
                "service_name": "OpenAI API",
                "service_category": "AI and Machine Learning",
                "sku_meter": line_item,
                "charge_category": "Usage",
                "api_key_id": key,
                "model": model,
                "token_type": token_type,
                "tags": tags_text({"api_key_name": keys.get(key or "")}),
                "consumed_quantity": None if quantity is None else to_scale(quantity),
                "consumed_unit": unit,
                # One amount is all OpenAI gives: what it invoices is what the usage cost.
                "billed_cost": cost,
                "effective_cost": cost,
                "billing_currency": currency.upper(),
                "basis": "reported",
            }
        )
    notes.extend(repeated.notes("costs"))
    return table.to_arrow()


def _is_of_hours(files: Mapping[str, Path]) -> bool:
    return bool(files) and all(name.startswith("hours-") or _is_refusal(name) for name in files)


def _is_refusal(name: str) -> bool:
    return name.startswith("unavailable-")


def _read_usage(files: Mapping[str, Path], unknown: UnknownFields, notes: list[str]) -> pa.Table:
    table = Table(METERED_USAGE, measures=MEASURES, add=add_counts)
    strange_tiers: set[str] = set()
    repeated = RepeatedGroups()
    results = read_buckets(files, "usage-", unknown, day_field="start_time", bucket_fields=BUCKET_FIELDS)
    for where, day, result in results:
        metered = _read_metered(result, where, unknown, strange_tiers)
        if not _is_repeat(repeated, where, day, result, metered):
            table.add({"usage_date": day, **metered})
    notes.extend(repeated.notes("usage"))
    _note_meters(files, strange_tiers, notes, "these days")
    return table.to_arrow()


def _read_hours(files: Mapping[str, Path], unknown: UnknownFields, notes: list[str]) -> pa.Table:
    table = Table(METERED_HOURS, measures=MEASURES, add=add_counts)
    strange_tiers: set[str] = set()
    repeated = RepeatedGroups()
    results = read_hours(files, "hours-", unknown, hour_field="start_time", bucket_fields=BUCKET_FIELDS)
    for where, hour, result in results:
        metered = _read_metered(result, where, unknown, strange_tiers)
        if not _is_repeat(repeated, where, hour, result, metered):
            table.add({"usage_hour": hour.replace(tzinfo=None), **metered})
    _note_meters(files, strange_tiers, notes, "these hours")
    return table.to_arrow()


def _read_metered(
    result: Mapping[str, Any], where: str, unknown: UnknownFields, strange_tiers: set[str]
) -> dict[str, Any]:
    """What both the daily and the hourly report say, whatever the kind of usage."""
    unknown.look(result, USAGE_FIELDS, "usage")
    kind = where.partition(" ")[0].partition("-")[2].rpartition("-")[0]
    uncached, cached, written = split_input(result, where)
    field, unit = QUANTITIES.get(kind, (None, None))
    quantity = read_decimal(result, field, where=where) if field else None
    return {
        "sub_account_id": read_text(result, "project_id", where=where),
        "api_key_id": read_text(result, "api_key_id", where=where),
        "model": read_text(result, "model", where=where),
        "pricing_tier": pricing_tier(result, where, strange_tiers),
        "requests": read_count(result, "num_model_requests", where=where),
        "input_tokens": uncached,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": read_count(result, "output_tokens", where=where),
        "usage_kind": kind,
        "quantity": None if quantity is None else to_scale(quantity),
        "quantity_unit": None if quantity is None else unit,
    }


def _is_repeat(
    repeated: RepeatedGroups, where: str, start: date | datetime, result: Mapping[str, Any], metered: Mapping[str, Any]
) -> bool:
    names = ("project_id", "api_key_id", "model", "batch", "service_tier")
    group = (metered["usage_kind"], *(result.get(name) or None for name in names))
    return repeated.is_repeat(where, start, group, tuple(metered.get(name) for name in MEASURES))


def _note_meters(files: Mapping[str, Path], strange_tiers: set[str], notes: list[str], when: str) -> None:
    for name in sorted(files):
        if _is_refusal(name):
            document = read_document(files[name], name=name)
            notes.append(f"usage of {document.get('kind')} is not available for {when}: {document.get('refused')}")
    notes.extend(f"unknown service tier {tier[:64]!r}: pricing tier left open" for tier in sorted(strange_tiers))


def split_input(result: Mapping[str, Any], where: str) -> tuple[int | None, int | None, int | None]:
    """(uncached, cache read, cache write): OpenAI's input_tokens holds all three."""
    total = read_count(result, "input_tokens", where=where)
    cached = read_count(result, "input_cached_tokens", where=where)
    written = read_count(result, "input_cache_write_tokens", where=where)
    uncached = read_count(result, "input_uncached_tokens", where=where)
    if uncached is not None or total is None:
        return uncached, cached, written
    rest = total - (cached or 0) - (written or 0)
    if rest < 0:
        raise PayloadError(
            f"field 'input_tokens': {total} is less than its cached part {cached or 0} + {written or 0}",
            where=where,
            cure="run again, and report it to the provider if it stays",
        )
    return rest, cached, written


def pricing_tier(result: Mapping[str, Any], where: str, strange: set[str]) -> str | None:
    if read_flag(result, "batch", where=where):
        return "batch"
    tier = read_text(result, "service_tier", where=where)
    if tier is not None and tier.lower() not in SERVICE_TIERS:
        strange.add(tier)
    return SERVICE_TIERS.get((tier or "").lower())
