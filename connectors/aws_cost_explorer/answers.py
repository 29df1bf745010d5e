"""Cost Explorer's answers, read strictly: one group of one day at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.aws_cost_explorer.queries import BILLED, EFFECTIVE, METRICS, QUANTITY
from connectors.documents import UnknownFields, read_flag, read_list, read_money, read_object, read_text, wrong
from connectors.errors import PayloadError

ANSWER_FIELDS = frozenset({"GroupDefinitions", "ResultsByTime", "DimensionValueAttributes", "NextPageToken"})
DAY_FIELDS = frozenset({"TimePeriod", "Total", "Groups", "Estimated"})
GROUP_FIELDS = frozenset({"Keys", "Metrics"})
METRIC_FIELDS = frozenset({"Amount", "Unit"})


@dataclass(frozen=True)
class Day:
    """One entry of ResultsByTime. `is_estimated`: AWS may still change it."""

    day: date
    is_estimated: bool
    record: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Group:
    """What one pair of keys cost on one day, in `currency`. `unit` is None where AWS says none, or N/A."""

    day: date
    keys: tuple[str, str]
    billed: Decimal
    effective: Decimal
    currency: str
    quantity: Decimal | None
    unit: str | None
    where: str


def read_days(document: Mapping[str, Any], unknown: UnknownFields, *, where: str) -> Iterator[Day]:
    """The days of one page. Raises PayloadError naming page and field."""
    unknown.look(document, ANSWER_FIELDS, "the answer")
    for index, record in enumerate(read_list(document, "ResultsByTime", where=where)):
        place = f"{where} ResultsByTime[{index}]"
        unknown.look(record, DAY_FIELDS, "a day")
        period = read_object(record, "TimePeriod", where=place)
        yield Day(_day(period, "Start", place), bool(read_flag(record, "Estimated", where=place)), record, place)


def read_groups(day: Day, unknown: UnknownFields) -> Iterator[Group]:
    """The groups of a day. Raises PayloadError naming page and field."""
    groups = read_list(day.record, "Groups", where=day.where)
    if not groups and _has_money(day):
        raise PayloadError(
            "a total and no groups, where groups were asked for",
            where=day.where,
            cure="run again, and report it to AWS if it stays",
        )
    for index, record in enumerate(groups):
        where = f"{day.where}.Groups[{index}]"
        unknown.look(record, GROUP_FIELDS, "a group")
        keys = record.get("Keys")
        if not isinstance(keys, list) or len(keys) != 2 or not all(isinstance(key, str) for key in keys):
            raise wrong(where, "Keys", "two texts", keys)
        metrics = read_object(record, "Metrics", where=where)
        unknown.look(metrics, frozenset(METRICS), "a group's metrics")
        billed, currency = _read_metric(metrics, BILLED, unknown, where)
        found = next((name for name in EFFECTIVE if metrics.get(name) is not None), EFFECTIVE[-1])
        effective, other = _read_metric(metrics, found, unknown, where)
        counted = metrics.get(QUANTITY) is not None
        quantity, unit = _read_metric(metrics, QUANTITY, unknown, where) if counted else (None, None)
        if currency is None or not re.fullmatch(r"[A-Z]{3}", currency) or other != currency:
            raise wrong(f"{where}.{found}", "Unit", f"one currency code, as in {BILLED}", other)
        yield Group(
            day=day.day,
            keys=(keys[0], keys[1]),
            billed=billed,
            effective=effective,
            currency=currency,
            quantity=quantity,
            unit=None if unit in (None, "N/A") else unit,
            where=where,
        )


def read_descriptions(document: Mapping[str, Any], *, where: str) -> dict[str, str]:
    """What AWS says of the dimension values on a page: the names of accounts."""
    if document.get("DimensionValueAttributes") is None:
        return {}
    found: dict[str, str] = {}
    for record in read_list(document, "DimensionValueAttributes", where=where):
        value = read_text(record, "Value", where=where)
        attributes = record.get("Attributes")
        if value and isinstance(attributes, dict) and isinstance(attributes.get("description"), str):
            found[value] = attributes["description"]
    return found


def _read_metric(
    metrics: Mapping[str, Any], name: str, unknown: UnknownFields, where: str
) -> tuple[Decimal, str | None]:
    metric = read_object(metrics, name, where=where)
    unknown.look(metric, METRIC_FIELDS, "a metric")
    return read_money(metric, "Amount", where=f"{where}.{name}"), read_text(metric, "Unit", where=f"{where}.{name}")


def _has_money(day: Day) -> bool:
    total = day.record.get("Total")
    metric = total.get(BILLED) if isinstance(total, dict) else None
    return isinstance(metric, dict) and bool(read_money(metric, "Amount", where=f"{day.where}.Total.{BILLED}"))


def _day(period: Mapping[str, Any], field: str, where: str) -> date:
    text = read_text(period, field, where=where)
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        raise wrong(where, field, "a day (YYYY-MM-DD)", text) from None
