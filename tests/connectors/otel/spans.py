"""OTLP JSON as the collector's file exporter writes it: ids in hex, 64-bit numbers as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def value_of(value: Any, *, as_text: bool = True) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value) if as_text else value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(item) for item in value]}}
    return {"stringValue": value}


def nanos(moment: datetime) -> str:
    return str((moment - EPOCH) // timedelta(microseconds=1) * 1000)


def span(
    span_id: str, start: datetime, *, parent: str = "", trace: str = "a" * 32, seconds: float = 1.5, **attributes: Any
) -> dict[str, Any]:
    """A chat request to gpt-5-mini; `attributes` add to it or replace what is there (None takes away)."""
    plain = {"gen_ai.operation.name": "chat", "gen_ai.response.model": "gpt-5-mini", "app.feature": "support_chat"}
    known = {name: value for name, value in {**plain, **attributes}.items() if value is not None}
    return {
        "traceId": trace,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": "chat gpt-5-mini",
        "kind": 3,
        "startTimeUnixNano": nanos(start),
        "endTimeUnixNano": nanos(start + timedelta(seconds=seconds)),
        "attributes": [{"key": name, "value": value_of(value)} for name, value in known.items()],
        "status": {},
    }


def line(*spans: dict[str, Any], resource: dict[str, Any] | None = None, as_text: bool = True) -> dict[str, Any]:
    about = [{"key": name, "value": value_of(value, as_text=as_text)} for name, value in (resource or {}).items()]
    scopes = [{"scope": {"name": "opentelemetry.instrumentation.openai"}, "spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": about}, "scopeSpans": scopes}]}
