"""What a charge is: provider, kind, workload, model, token type, tier, tokens, GPU hours.

The knowledge is data: the CSV files beside this module. In each, the first row whose patterns all
match wins; an empty cell matches anything; `valid_from` (first day) and `valid_to` (day after the
last) date a row. Patterns are Python regular expressions, found anywhere, case ignored. `<gpu>` in
a `text` cell means: the SKU names an accelerator, by instance type or by device.

    providers.csv        who bills → slug
    kinds.csv            provider, service, SKU text → ai_kind, workload
    models.csv           SKU text or model id → canonical model (claude-sonnet-4-5, gpt-4o-mini)
    token_types.csv      SKU text → input, cache_read, cache_write_5m, cache_write_1h, output, reasoning
    pricing_tiers.csv    SKU text → provisioned, batch, flex, priority (else standard)
    token_units.csv      unit of the quantity → tokens per unit
    instance_gpus.csv    instance type → GPU type and devices per instance ("1/8": a slice; "\\1": as its name says)
    gpu_names.csv        device named in a SKU → GPU type; such SKUs are sold per device
    instance_usages.csv  which rows of an instance are its machine hours, and what it worked on
    hour_units.csv       unit of the quantity → units per hour, of the machine or of each of its devices

Rules run on the distinct SKUs of a delivery, never row by row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
TABLES = (
    "providers",
    "kinds",
    "models",
    "token_types",
    "pricing_tiers",
    "token_units",
    "instance_gpus",
    "gpu_names",
    "instance_usages",
    "hour_units",
)
GPU = "<gpu>"
# An accelerator's instance type: AWS families p, g, gr, trn, inf, dl (`ml.` before it at SageMaker)
# whatever their number, so that a family that is new tomorrow is at least known to be a GPU.
AWS_INSTANCE = re.compile(
    r"(?<![a-z0-9])(?:ml\.)?"
    r"((?:p\d+[a-z]*(?:-[a-z]*\d+)?|gr?\d+[a-z]*|trn\d+[a-z]*|inf\d+|dl\d+[a-z]*)"
    r"\.(?:\d*xlarge|large|medium|metal(?:-\d+xl)?)|u-p\d+[a-z]*-[a-z]*\d+x\d+)",
    re.IGNORECASE,
)
# Azure's N series: "NC24ads A100 v4", "Standard_ND96isr_H100_v5", "NC6s v3".
AZURE_INSTANCE = re.compile(
    r"(?<![a-z0-9])(?:standard_)?(n[cdgpv]\d+[a-z]*(?:[ _](?:xl|[a-z]{1,6}\d+[a-z]*))*[ _]v\d)(?![a-z0-9])",
    re.IGNORECASE,
)
# Lambda's types say the count themselves: gpu_8x_h100_sxm5.
COUNTED_INSTANCE = re.compile(r"(?<![a-z0-9_])(gpu_[1-9]\d*x_[a-z0-9]+(?:_[a-z0-9]+)*)", re.IGNORECASE)
DEVICE_CONTEXT = re.compile(
    r"\bgpus?\b|\btpu|nvidia|trillium|ironwood|\binstance (?:core|ram)\b"
    r"|\b(?:[hb][12]00|gb[23]00|mi3\d{2}x?)\b.*(?:\d ?gb|hbm|sxm)",
    re.IGNORECASE,
)
# Around a model id in an API's answer: vendor and region before it, date and revision after it.
MODEL_PREFIX = re.compile(r"^(?:[a-z0-9-]+/)+|^(?:(?:us|eu|apac|jp|au|global)\.)?(?:[a-z0-9]+\.)(?=[a-z])")
MODEL_SUFFIX = re.compile(r"(?:[-@](?:20\d{6}|20\d\d-\d\d-\d\d))?(?:-v\d+:\d+)?(?::[a-z]+)?$")


@dataclass(frozen=True)
class Sku:
    """What classification reads of a charge; null where the bill does not say. `provider` is a slug."""

    provider: str | None
    service_name: str | None = None
    service_category: str | None = None
    sku_meter: str | None = None
    charge_description: str | None = None
    consumed_unit: str | None = None
    model: str | None = None
    token_type: str | None = None


@dataclass(frozen=True)
class Classification:
    """What a SKU is. Tokens of a charge: quantity × `tokens_per_unit`; GPU device hours:
    quantity × `gpu_hours_per_unit`; null where the unit says neither."""

    ai_kind: str = "other"
    workload: str = "unknown"
    model: str | None = None
    token_type: str | None = None
    pricing_tier: str | None = None
    gpu_type: str | None = None
    tokens_per_unit: int | None = None
    gpu_hours_per_unit: Fraction | None = None


OTHER = Classification()


@dataclass(frozen=True)
class _Row:
    """A row of a pattern table: compiled patterns by column, and the plain cells."""

    patterns: dict[str, re.Pattern[str]]
    cells: dict[str, str]
    valid_from: date | None
    valid_to: date | None

    def holds_on(self, day: date) -> bool:
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day < self.valid_to)


PATTERN_COLUMNS = frozenset({"pattern", "service", "text", "category", "unit"})


def read_table(name: str) -> tuple[_Row, ...]:
    """The rows of a pattern table, in the file's order."""
    return _read_table(FOLDER / f"{name}.csv")


@cache
def _read_table(path: Path) -> tuple[_Row, ...]:
    rows = []
    with path.open(encoding="utf-8", newline="") as handle:
        for record in csv.DictReader(handle, strict=True):
            patterns = {
                column: re.compile(text, re.IGNORECASE)
                for column, text in record.items()
                if column in PATTERN_COLUMNS and text
            }
            rows.append(_Row(patterns, record, _day(record["valid_from"]), _day(record["valid_to"])))
    return tuple(rows)


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def boundaries() -> tuple[date, ...]:
    """The days on which any row begins or ceases to hold, ascending: between two of them nothing changes."""
    days = {day for name in TABLES for row in read_table(name) for day in (row.valid_from, row.valid_to) if day}
    return tuple(sorted(days))


def provider_slug(*names: str | None, day: date) -> str | None:
    """The slug of the first name that says who bills: its pattern's, else the name in lower case."""
    for name in names:
        if name:
            for row in read_table("providers"):
                if row.holds_on(day) and row.patterns["pattern"].search(name):
                    return row.cells["provider"]
    first = next((name for name in names if name), None)
    return re.sub(r"[^a-z0-9]+", "_", first.lower()).strip("_") or None if first else None


def classify(sku: Sku, day: date) -> Classification:
    """What `sku` is, by the rows that hold on `day`."""
    text = " | ".join(part for part in (sku.sku_meter, sku.charge_description) if part)
    instance, gpu_type = _find_accelerator(sku, text, day)
    kind = _find_kind(sku, f"{text} {GPU}" if instance or gpu_type else text, day)
    if kind is None or kind.cells["ai_kind"] == "other":
        return OTHER
    ai_kind, workload = kind.cells["ai_kind"], kind.cells["workload"]
    if ai_kind == "gpu":
        return _classify_gpu(sku, text, instance, gpu_type, day)
    if ai_kind != "llm_api":
        return Classification(ai_kind=ai_kind, workload=workload, model=find_model(sku, day))
    token_type = _find_token_type(sku, text, day)
    tokens_per_unit = _tokens_per_unit(sku, text, day) if token_type else None
    return Classification(
        ai_kind=ai_kind,
        workload=workload,
        model=find_model(sku, day),
        token_type=token_type,
        pricing_tier=_first(("pricing_tiers"), f"{sku.token_type or ''} {text}", day, "pricing_tier") or "standard",
        tokens_per_unit=tokens_per_unit,
    )


def find_model(sku: Sku, day: date) -> str | None:
    """The canonical model that the SKU names: by its model id, else in meter, service or description."""
    for text in (sku.model, sku.sku_meter, sku.service_name, sku.charge_description):
        if not text:
            continue
        for row in _rows("models", day):
            match = row.patterns["pattern"].search(text)
            if match:
                return _expand(row.cells["model"], match)
    if sku.model:
        bare = MODEL_PREFIX.sub("", sku.model.strip().lower())
        return MODEL_SUFFIX.sub("", bare) or sku.model
    return None


def knows_model(model: str, day: date) -> bool:
    """Whether the table of models has a row for this model id; one that it has not keeps its own name."""
    return any(row.patterns["pattern"].search(model) for row in _rows("models", day))


def find_gpu_type(name: str, day: date) -> str | None:
    """The GPU type of a device as its driver names it, such as `NVIDIA H100 80GB HBM3`; None: unknown."""
    return _first("gpu_names", name, day, "gpu_type", expand=True)


def _expand(template: str, match: re.Match[str]) -> str:
    """Fill in the groups; a segment between hyphens whose group did not take part is left out."""
    segments = []
    for segment in template.split("-"):
        groups = [int(number) for number in re.findall(r"\\(\d)", segment)]
        if all(match.group(number) for number in groups):
            segments.append(match.expand(segment))
    return re.sub(r"[ _]+", "-", "-".join(segments).lower())


def _find_accelerator(sku: Sku, text: str, day: date) -> tuple[str | None, str | None]:
    """(instance type, GPU type): what the SKU names, each null where it does not."""
    found = AWS_INSTANCE.search(text) if sku.provider in ("aws", None) else None
    found = found or (AZURE_INSTANCE.search(text) if sku.provider in ("azure", None) else None)
    found = found or COUNTED_INSTANCE.search(text)
    if found:
        return found.group(1).lower().replace(" ", "_"), None
    if DEVICE_CONTEXT.search(text):
        return None, _first("gpu_names", text, day, "gpu_type", expand=True)
    return None, None


def _find_kind(sku: Sku, text: str, day: date) -> _Row | None:
    for row in _rows("kinds", day):
        if row.cells["provider"] and row.cells["provider"] != sku.provider:
            continue
        where = {"service": sku.service_name, "text": text, "category": sku.service_category}
        if all(column not in row.patterns or row.patterns[column].search(where[column] or "") for column in where):
            return row
    return None


def _classify_gpu(sku: Sku, text: str, instance: str | None, gpu_type: str | None, day: date) -> Classification:
    count: Fraction | None = Fraction(1)  # a SKU that names a device is sold per device
    if instance:
        gpu_type = _first("instance_gpus", instance, day, "gpu_type")
        devices = _first("instance_gpus", instance, day, "gpu_count", expand=True)
        count = Fraction(devices) if devices else None
    usage = next(
        row
        for row in _rows("instance_usages", day)
        if row.cells["provider"] in ("", sku.provider)
        and ("service" not in row.patterns or row.patterns["service"].search(sku.service_name or ""))
        and row.patterns["pattern"].search(text)
    )
    per_unit = None
    if count is not None and usage.cells["counts_gpu_hours"] == "yes":
        unit = next(
            (row for row in _rows("hour_units", day) if row.patterns["unit"].search((sku.consumed_unit or "").strip())),
            None,
        )
        if unit:
            devices_per_unit = Fraction(1) if unit.cells["counts"] == "devices" else count
            per_unit = devices_per_unit / Fraction(unit.cells["units_per_hour"])
    return Classification(
        ai_kind="gpu",
        workload=usage.cells["workload"] or "unknown",
        gpu_type=gpu_type,
        gpu_hours_per_unit=per_unit,
    )


def _find_token_type(sku: Sku, text: str, day: date) -> str | None:
    for candidate in (sku.token_type, sku.sku_meter, sku.charge_description):
        if not candidate:
            continue
        for row in _rows("token_types", day):
            if row.patterns["pattern"].search(candidate):
                return row.cells["token_type"] or None
    return None


def _tokens_per_unit(sku: Sku, text: str, day: date) -> int | None:
    unit = (sku.consumed_unit or "").strip()
    for row in _rows("token_units", day):
        if row.cells["provider"] in ("", sku.provider) and row.patterns["unit"].search(unit):
            if "text" in row.patterns and not row.patterns["text"].search(text):
                continue
            return int(row.cells["tokens_per_unit"])
    return None


def _first(table: str, text: str, day: date, column: str, *, expand: bool = False) -> str | None:
    for row in _rows(table, day):
        match = row.patterns["pattern"].search(text)
        if match:
            return (match.expand(row.cells[column]) if expand else row.cells[column]) or None
    return None


def _rows(table: str, day: date) -> Iterator[_Row]:
    return (row for row in read_table(table) if row.holds_on(day))
