"""One line of OTLP JSON → the calls of its GenAI spans.

Attribute names: the GenAI semantic conventions, the current ones and those before them. Input tokens
include what was read from or written to a cache, and output tokens the reasoning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.calls.projection import Projection
from connectors.calls.reading import (
    identifier,
    milliseconds_between,
    nanoseconds,
    provider_of,
    task_of_trace,
    uncached,
    whole,
)
from connectors.calls.rules import LeftOut, Rejected, read_trace

KNOWN = frozenset({"resourceSpans", "resource_spans"})
CALLS = frozenset({"chat", "text_completion", "completion", "generate_content", "embeddings", "embedding", "responses"})
NAMES: Mapping[str, tuple[str, ...]] = {
    "operation": ("gen_ai.operation.name",),
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "model": ("gen_ai.response.model", "gen_ai.request.model"),
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_tokens",
        "gen_ai.usage.input_cached_tokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    # What the answer says comes before what was asked for.
    "tier": (
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.response.service_tier",
        "openai.request.service_tier",
        "gen_ai.openai.request.service_tier",
        "gen_ai.request.service_tier",
    ),
    "reasoning": ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
}
# The team's own: there is no attribute for a feature in the conventions.
OWN: Mapping[str, tuple[str, ...]] = {
    "feature": ("app.feature", "feature"),
    "task_id": ("app.task_id", "task_id"),
    "task_type": ("app.task_type", "task_type"),
    "attempt": ("app.attempt", "attempt"),
    "outcome": ("app.outcome", "outcome"),
    "plan": ("app.plan", "plan"),
    "release": ("app.release", "service.version"),
    "prompt_version": ("app.prompt_version", "gen_ai.prompt.version", "prompt_version"),
    "user_id": ("app.user_id", "enduser.id", "user.id"),
    "api_key_id": ("app.api_key_id",),
    "pricing_tier": ("app.pricing_tier",),
    "tool_calls": ("app.tool_calls",),
    "response_id": ("gen_ai.response.id",),
}
_STANDARD = frozenset(name for names in (*NAMES.values(), *OWN.values()) for name in names)
_ERROR_CODES = frozenset({2, "2", "STATUS_CODE_ERROR"})


def attributes_of(pairs: Any) -> dict[str, Any]:
    """OTLP's list of {key, value: {stringValue: …}} as a dict; arrays and objects are left out."""
    found: dict[str, Any] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        value = pair.get("value") if isinstance(pair, dict) else None
        if not isinstance(value, dict):
            continue
        for kind in ("stringValue", "intValue", "doubleValue", "boolValue"):
            if kind in value:
                found[str(pair.get("key"))] = value[kind]
    return found


def spans_of(record: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(resource attributes, span) of every span on a line."""
    for resource in _objects(record, "resourceSpans", "resource_spans"):
        about = resource.get("resource")
        shared = attributes_of(about.get("attributes")) if isinstance(about, dict) else {}
        # Before OTLP 0.15 the scopes were instrumentation libraries.
        for scope in _objects(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans"):
            for span in _objects(scope, "spans"):
                yield shared, span


def _objects(record: Mapping[str, Any], *names: str) -> Iterable[dict[str, Any]]:
    for name in names:
        value = record.get(name)
        if isinstance(value, list):
            return [item for item in value if isinstance(item, dict)]
    return []


def is_call(span: Mapping[str, Any]) -> bool:
    """Whether the span is a request to a model: agents, tools and chains around it are not."""
    attributes = attributes_of(span.get("attributes"))
    operation = _first(attributes, NAMES["operation"])
    if operation is not None:
        return str(operation).lower() in CALLS
    return _first(attributes, NAMES["model"]) is not None and any(
        _first(attributes, NAMES[kind]) is not None for kind in ("input", "output")
    )


def parents_of(record: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """(id, parent's id, whether it is a call) of the spans of a line that have a parent."""
    for _, span in spans_of(record):
        if span.get("parentSpanId"):
            yield str(span.get("spanId")), str(span["parentSpanId"]), is_call(span)


def read_line(
    record: Mapping[str, Any], projection: Projection, fields: Mapping[str, str], parents: set[str]
) -> Iterator[dict[str, Any]]:
    """The calls of a line, in the events' words. What is odd with one span leaves the others alone."""
    if not record.keys() & KNOWN:
        raise Rejected("resourceSpans: missing")
    for shared, span in spans_of(record):
        try:
            yield _read_span(shared, span, projection, fields, parents)
        except LeftOut as left_out:
            projection.leave_out(str(left_out))
        except Rejected as rejected:
            projection.reject(str(rejected))


def _read_span(
    shared: Mapping[str, Any],
    span: Mapping[str, Any],
    projection: Projection,
    fields: Mapping[str, str],
    parents: set[str],
) -> dict[str, Any]:
    attributes = attributes_of(span.get("attributes"))
    if not is_call(span):
        is_around = any(name.startswith(("gen_ai.", "llm.")) for name in attributes) or span.get("spanId") in parents
        raise LeftOut("parent_span" if is_around else "not_a_call")
    if span.get("spanId") in parents:
        raise LeftOut("parent_span")
    known = {**shared, **attributes}
    own = {name: ((fields[name],) if name in fields else ()) + paths for name, paths in OWN.items()}
    projection.drop_fields(
        pair["key"]
        for pair in span.get("attributes") or ()
        if isinstance(pair, dict)
        and isinstance(pair.get("key"), str)
        and pair["key"] not in _STANDARD
        and pair["key"] not in fields.values()
    )
    model = identifier(_first(known, NAMES["model"]), "model")
    tokens = {kind: whole(_first(known, NAMES[kind]), kind) for kind in NAMES if kind not in _NO_TOKENS}
    start, end = nanoseconds(span.get("startTimeUnixNano")), nanoseconds(span.get("endTimeUnixNano"), "end")
    event: dict[str, Any] = {name: identifier(_first(known, paths), name) for name, paths in own.items()}
    status = span.get("status")
    failed = isinstance(status, dict) and status.get("code") in _ERROR_CODES
    return event | {
        "time": start,
        "provider": identifier(_first(known, NAMES["provider"]), "provider") or provider_of(model),
        "model": model,
        "task_id": event["task_id"] or task_of_trace(span.get("traceId"), "traceId", projection),
        "trace_id": read_trace(span.get("traceId")),
        "pricing_tier": event["pricing_tier"] or identifier(_first(known, NAMES["tier"]), "service_tier"),
        "attempt": whole(_first(known, own["attempt"]), "attempt"),
        "tool_calls": whole(_first(known, own["tool_calls"]), "tool_calls"),
        "status": "error" if failed or "error.type" in attributes else "ok",
        "latency_ms": milliseconds_between(start, end),
        "input_tokens": uncached(tokens["input"], tokens["cache_read"], tokens["cache_write"]),
        "cache_read_tokens": tokens["cache_read"],
        "cache_write_tokens": tokens["cache_write"],
        "output_tokens": uncached(tokens["output"], tokens["reasoning"]),
        "reasoning_tokens": tokens["reasoning"],
    }


_NO_TOKENS = frozenset({"operation", "provider", "model", "tier"})


def _first(attributes: Mapping[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        if attributes.get(name) not in (None, ""):
            return attributes[name]
    return None
