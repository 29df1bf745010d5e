"""Providers' JSON documents, read strictly: exact decimals, and an error that names page and field.

What a provider adds to its documents is never an error and never lost: `UnknownFields` counts it,
and the connector turns the counts into notes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from connectors.base import read_payload
from connectors.errors import PayloadError

SCALE = Decimal("1E-12")  # DECIMAL(38, 12), as everywhere in the warehouse
# The default context keeps 28 digits; a DECIMAL(38, 12) needs 38 and a division some more.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
LARGEST = Decimal(10) ** 26

_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")  # as JSON escapes one; most belong to a pair
_CURE = "the provider's answer is not what it documents: run again, and report it if it stays"


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number in JSON")


def decode(data: bytes, *, where: str) -> dict[str, Any]:
    """A JSON object with numbers as int or Decimal. Raises PayloadError naming `where`."""
    try:
        document = json.loads(data, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = f"line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else "not JSON"
        raise PayloadError(f"malformed JSON ({reason}, {len(data)} bytes)", where=where, cure=_CURE) from None
    if not isinstance(document, dict):
        raise PayloadError(f"expected a JSON object, got {_kind(document)}", where=where, cure=_CURE)
    whole: dict[str, Any] = _whole_characters(document) if _HALF_CHARACTER.search(data) else document
    return whole


def _whole_characters(value: Any) -> Any:
    """The document with the mark of what cannot be read for half a character: a name that was cut within an emoji."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(item) for key, item in value.items()}
    return value


def read_document(path: Path, *, name: str) -> dict[str, Any]:
    """A landed payload as a JSON object. Raises PayloadError naming the payload."""
    return decode(read_payload(path), where=name)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def wrong(record_where: str, field: str, expected: str, value: object) -> PayloadError:
    """The error for one field; the value is shown only where it is short and scalar."""
    shown = f" {value!s:.40}" if isinstance(value, (int, Decimal, str)) and not isinstance(value, bool) else ""
    return PayloadError(
        f"field {field!r}: expected {expected}, got {_kind(value)}{shown}", where=record_where, cure=_CURE
    )


def read_list(record: Mapping[str, Any], field: str, *, where: str) -> list[dict[str, Any]]:
    """A required list of objects."""
    value = record.get(field)
    if not isinstance(value, list):
        raise wrong(where, field, "a list", value)
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise wrong(f"{where} {field}[{index}]", field, "objects", item)
    return value


def read_object(record: Mapping[str, Any], field: str, *, where: str) -> dict[str, Any]:
    """A required object."""
    value = record.get(field)
    if not isinstance(value, dict):
        raise wrong(where, field, "an object", value)
    return value


def read_text(record: Mapping[str, Any], field: str, *, where: str) -> str | None:
    """An optional text; null, absent and empty are None."""
    value = record.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise wrong(where, field, "a text or null", value)
    return value


def read_flag(record: Mapping[str, Any], field: str, *, where: str) -> bool | None:
    """An optional true or false."""
    value = record.get(field)
    if value is not None and not isinstance(value, bool):
        raise wrong(where, field, "true, false or null", value)
    return value


def read_decimal(record: Mapping[str, Any], field: str, *, where: str) -> Decimal | None:
    """An optional finite number, given as a number or as a text; exact."""
    value = record.get(field)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            raise wrong(where, field, "a number", value) from None
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        number = Decimal(value)
    else:
        raise wrong(where, field, "a number", value)
    if not number.is_finite() or number.copy_abs() >= LARGEST:
        raise wrong(where, field, "a finite number below 10^26", value)
    return number


def read_money(record: Mapping[str, Any], field: str, *, where: str) -> Decimal:
    """A required amount of money, in the field's own unit, not yet rounded to the ledger's scale."""
    number = read_decimal(record, field, where=where)
    if number is None:
        raise wrong(where, field, "an amount", None)
    return number


def read_count(record: Mapping[str, Any], field: str, *, where: str) -> int | None:
    """An optional whole number, not negative; `12.0` and `"12"` are whole."""
    number = read_decimal(record, field, where=where)
    if number is None:
        return None
    if number != number.to_integral_value() or number < 0 or number >= 2**63:
        raise wrong(where, field, "a whole number, not negative", record.get(field))
    return int(number)


def to_scale(number: Decimal) -> Decimal:
    """Rounded half-even to 12 digits after the point: each row before any aggregate."""
    return number.quantize(SCALE, context=EXACT)


def read_day(record: Mapping[str, Any], field: str, *, where: str) -> date:
    """A required UTC midnight, as Unix seconds or as RFC 3339, as its day."""
    instant = _read_instant(record, field, 86400, "a UTC midnight", where)
    return instant.date()


def read_hour(record: Mapping[str, Any], field: str, *, where: str) -> datetime:
    """A required full hour, as Unix seconds or as RFC 3339, in UTC."""
    return _read_instant(record, field, 3600, "a full hour in UTC", where)


def _read_instant(record: Mapping[str, Any], field: str, step: int, what: str, where: str) -> datetime:
    value = record.get(field)
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        if not 0 <= value < 253402300800 or value % step:
            raise wrong(where, field, f"{what} in Unix seconds", value)
        return datetime.fromtimestamp(int(value), UTC)
    if not isinstance(value, str):
        raise wrong(where, field, "a point in time", value)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise wrong(where, field, "a point in time (RFC 3339)", value) from None
    if instant.tzinfo is None:
        raise wrong(where, field, "a point in time with its offset from UTC", value)
    try:
        instant = instant.astimezone(UTC)
    except OverflowError:
        raise wrong(where, field, "a point in time", value) from None
    if instant.microsecond or int(instant.timestamp()) % step:
        raise wrong(where, field, what, value)
    return instant


class UnknownFields:
    """Counts fields that the connector does not know, by the place where they stand."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def look(self, record: Mapping[str, Any], known: frozenset[str], place: str) -> None:
        if not record.keys() <= known:
            for name in record.keys() - known:
                self._counts[(place, name)] += 1

    def notes(self) -> Iterable[str]:
        for (place, name), count in sorted(self._counts.items()):
            yield f"unknown field {name[:64]!r} in {place} ({count}×): kept in the landed payload, not used"
