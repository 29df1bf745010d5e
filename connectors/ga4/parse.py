"""One event of the export, as the query answers → a call or an outcome in the events' words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from connectors.calls.projection import Projection
from connectors.calls.reading import OutcomeRow, identifier, provider_of, whole
from connectors.calls.rules import COUNTS, EPOCH, TEXTS, Rejected, read_cost, read_time

if TYPE_CHECKING:
    from connectors.ga4 import Ga4Options

# The fields that a parameter may carry; by default the parameter of the same name.
FIELDS = (*TEXTS, "user_id", "status", "pricing_tier", *COUNTS, "gpu_seconds", "logged_cost_usd")
# Parameters that Google Analytics adds to events by itself: they are nobody's forgotten field.
AUTOMATIC = frozenset(
    {
        *("ga_session_id", "ga_session_number", "engagement_time_msec", "session_engaged", "engaged_session_event"),
        *("page_location", "page_referrer", "page_title", "ignore_referrer", "batch_ordering_id", "batch_page_id"),
        *("source", "medium", "campaign", "term", "content", "debug_mode", "entrances", "synthetic_bundle"),
        *(
            "firebase_screen",
            "firebase_screen_class",
            "firebase_screen_id",
            "firebase_event_origin",
            "firebase_conversion",
        ),
    }
)


def parameter_names(options: Ga4Options) -> dict[str, str]:
    """Field → the event parameter that carries it."""
    return {field: options.params.get(field, field) for field in FIELDS}


def read_event(
    record: Mapping[str, Any], projection: Projection, options: Ga4Options
) -> Iterator[dict[str, Any] | OutcomeRow]:
    """A call or an outcome. Raises Rejected."""
    given = {one["name"]: _value(one) for one in json.loads(record["params"])}
    if other := set(json.loads(record["other_names"])) - AUTOMATIC:
        projection.drop_fields(other)
    values = {field: given.get(name) for field, name in parameter_names(options).items()}
    at = _moment(record["event_timestamp"])
    if record["event_name"] in options.outcome_events:
        yield from _outcome(values, at, projection)
        return
    call: dict[str, Any] = {name: identifier(values[name], name) for name in (*TEXTS, "status", "pricing_tier")}
    call["provider"] = call["provider"] or options.provider or provider_of(call["model"])
    call["user_id"] = identifier(values["user_id"] or record["user_id"], "user_id")
    call |= {name: whole(_rounded(values[name]) if name == "latency_ms" else values[name], name) for name in COUNTS}
    yield call | {
        "time": at,
        "gpu_seconds": _number(values["gpu_seconds"], "gpu_seconds"),
        "logged_cost_usd": read_cost(values["logged_cost_usd"]),
    }


def _outcome(values: Mapping[str, Any], at: Any, projection: Projection) -> Iterator[OutcomeRow]:
    task_id, outcome = identifier(values["task_id"], "task_id"), identifier(values["outcome"], "outcome")
    if task_id is None or outcome is None:
        projection.keep("no_outcome")
        return
    yield OutcomeRow(task_id, outcome, read_time(at))


def _value(param: Mapping[str, Any]) -> Any:
    """The one of the four that is set. A whole number beyond 2⁵³ comes as its digits."""
    return next((param[kind] for kind in ("text", "whole", "number", "single") if param.get(kind) is not None), None)


def _moment(microseconds: Any) -> Any:
    count = whole(microseconds, "event_timestamp")
    if count is None:
        raise Rejected("time: missing")
    try:
        return EPOCH + timedelta(microseconds=count)
    except OverflowError:
        raise Rejected("time: before 2015 or after 2099") from None


def _rounded(value: Any) -> Any:
    return round(value) if isinstance(value, float) and abs(value) < 1e12 else value


def _number(value: Any, name: str) -> float | None:
    """A number, or its text: what a tag manager fills in arrives as text."""
    if value is None or value == "":
        return None
    try:
        return float(Decimal(str(value)))
    except (ArithmeticError, ValueError):
        raise Rejected(f"{name}: not a number") from None
