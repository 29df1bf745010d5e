"""One record of telemetry → one row of the allow-list, or a reason why not.

The rules, in the order in which they apply:

    time absent, not RFC 3339, without offset, before 2015      rejected: it belongs to no day
    provider or model absent                                    rejected: it cannot be priced
    a text longer than 256 characters, or not a text            rejected: it is no identifier
    trace_id of this kind                                       kept, trace unknown: the task tells enough
    a count negative, fractional or absurdly large              rejected
    attempt 0                                                   kept as a first one, counted
    feature absent                                              kept: its cost stays unallocated
    task_id absent                                              kept: counts as a call, not as a task
    tokens absent                                               kept: unknown is null, never 0
    status that is neither ok nor error                         kept, status unknown
    pricing_tier that is none of ours                           kept, without a price
    any other field                                             dropped, counted by its name
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST_TEXT = 256
FIRST_DAY = datetime(2015, 1, 1, tzinfo=UTC)
LAST_DAY = datetime(2100, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TEXTS = (
    "provider",
    "model",
    "feature",
    "task_id",
    "task_type",
    "outcome",
    "response_id",
    "plan",
    "release",
    "prompt_version",
    "api_key_id",
    "trace_id",
)
REQUIRED_TEXTS = frozenset({"provider", "model"})
# The largest count that is believed: no single call has more tokens than a hundred million.
COUNTS = {
    "attempt": 10_000,
    "input_tokens": 10**8,
    "cache_read_tokens": 10**8,
    "cache_write_tokens": 10**8,
    "output_tokens": 10**8,
    "reasoning_tokens": 10**8,
    "tool_calls": 10**6,
    "latency_ms": 10**9,
}
STATUSES = {"ok": "ok", "success": "ok", "error": "error", "failed": "error", "failure": "error", "timeout": "error"}
# How providers, gateways and SDKs call the way in which a request was served. `auto` is a wish and no answer.
TIERS = {
    **dict.fromkeys(("standard", "default", "on_demand", "on-demand", "regular", "standard_only"), "standard"),
    **{name: name for name in ("batch", "flex", "priority")},
    "auto": None,
}
OTHER_TIER = "other"  # a tier that no price list has: such calls have no known price
KNOWN = frozenset({"time", "status", "pricing_tier", "user_id", "gpu_seconds", "logged_cost_usd", *TEXTS, *COUNTS})
# A field's name may itself be somebody's text or id: only what looks like a name of a schema is repeated.
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z_.]{0,60}[0-9]{0,2}")
OTHER_NAMES = "(other names)"
LARGEST_GPU_SECONDS = 1e9
LARGEST_COST_USD = 10**6  # of one call


class Rejected(Exception):  # it is no error of ours: a record of the input that is set aside
    """Why a record is not a call. The reason names a field, never its content."""


class LeftOut(Exception):
    """A sound record that is not counted: the span around a call, a call that another source tells of.

    The argument is the code under which it is counted.
    """


def read_text(record: Mapping[str, Any], name: str) -> str | None:
    """An identifier of up to 256 characters; a whole number is taken as its digits. Raises Rejected."""
    value = record.get(name)
    if value.__class__ is int:
        value = str(value)
    if value is None or value == "":
        if name in REQUIRED_TEXTS:
            raise Rejected(f"{name}: missing")
        return None
    if value.__class__ is not str:
        raise Rejected(f"{name}: not a text")
    if not is_plain(value):
        raise Rejected(f"{name}: longer than {LONGEST_TEXT} characters, or not valid Unicode")
    found: str = value
    return found


def read_trace(value: Any) -> str | None:
    """The id of a trace; None for what is no identifier: no call is lost for it."""
    try:
        return read_text({"trace_id": value}, "trace_id")
    except Rejected:
        return None


def is_plain(text: str) -> bool:
    """Short enough for an identifier, and free of lone surrogates, which no file can hold."""
    if len(text) > LONGEST_TEXT:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_time(value: Any) -> int:
    """Microseconds since 1970 of an RFC 3339 text, or of a datetime (UTC where it has no zone). Raises Rejected."""
    if value is None or value == "":
        raise Rejected("time: missing")
    if isinstance(value, datetime):
        instant = value if value.tzinfo else value.replace(tzinfo=UTC)
    elif value.__class__ is not str:
        raise Rejected("time: not RFC 3339")
    else:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            raise Rejected("time: not RFC 3339") from None
    if instant.tzinfo is None:
        raise Rejected("time: without offset from UTC")
    if not FIRST_DAY <= instant < LAST_DAY:
        raise Rejected("time: before 2015 or after 2099")
    passed = instant - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def read_count(record: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 0 up to COUNTS[name]. Raises Rejected."""
    value = record.get(name)
    if value is None:
        return None
    if value.__class__ is float and value.is_integer():
        value = int(value)
    elif value.__class__ is float and name == "latency_ms" and math.isfinite(value):
        value = round(value)
    if value.__class__ is not int:
        raise Rejected(f"{name}: not a whole number")
    if value < 0:
        raise Rejected(f"{name}: negative")
    if value > COUNTS[name]:
        raise Rejected(f"{name}: larger than {COUNTS[name]}")
    found: int = value
    return found


def read_gpu_seconds(value: Any) -> float | None:
    """Seconds; raises Rejected."""
    if value is None:
        return None
    if value.__class__ is not float and value.__class__ is not int:
        raise Rejected("gpu_seconds: not a number")
    if not 0 <= value <= LARGEST_GPU_SECONDS:  # false for NaN too
        raise Rejected("gpu_seconds: negative, not finite or absurdly large")
    return float(value)


def read_cost(value: Any) -> Decimal | None:
    """US dollars to twelve places, from a number or its text; raises Rejected."""
    if value is None or value == "":
        return None
    if value.__class__ not in (int, float, str, Decimal):
        raise Rejected("logged_cost_usd: not a number")
    try:
        cost = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise Rejected("logged_cost_usd: not a number") from None
    if not cost.is_finite() or not 0 <= cost <= LARGEST_COST_USD:
        raise Rejected("logged_cost_usd: negative, not finite or absurdly large")
    return cost.quantize(Decimal("1e-12"))


def read_tier(value: Any) -> str | None:
    """standard, batch, flex, priority; None where it is not told; OTHER_TIER for what is none of them."""
    if value is None or value == "":
        return None
    return TIERS.get(value.strip().lower(), OTHER_TIER) if isinstance(value, str) else OTHER_TIER


def read_status(value: Any) -> str | None:
    """ok, error, or None for what is neither."""
    return STATUSES.get(value.lower()) if isinstance(value, str) else None
