"""Rows of a Langfuse export (observations, scores) → calls and outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.calls.projection import Projection
from connectors.calls.reading import (
    OutcomeRow,
    decoded,
    features_of,
    find,
    identifier,
    milliseconds_between,
    moment,
    provider_of,
    task_of_trace,
    uncached,
    whole,
)
from connectors.calls.rules import LeftOut, read_cost, read_time, read_trace

CALL_TYPES = frozenset({"GENERATION", "EMBEDDING"})
# Fields of observations and scores that are looked at, and those that say nothing of a call. Prompts stand in
# input, output, comment and metadata.
KNOWN = frozenset(
    {
        *("id", "trace_id", "project_id", "type", "parent_observation_id", "start_time", "end_time", "name"),
        *("environment", "version", "release", "session_id", "user_id", "tags", "trace_name", "metadata", "level"),
        *("provided_model_name", "model_id", "model_parameters", "internal_model_id", "usage_details"),
        *("cost_details", "total_cost", "completion_start_time", "prompt_id", "prompt_name", "prompt_version"),
        *("created_at", "updated_at", "event_ts", "is_deleted", "latency", "time_to_first_token", "bookmarked"),
        *("public", "status_message", "provided_usage_details", "provided_cost_details", "tool_calls"),
        *("timestamp", "observation_id", "data_type", "value", "string_value", "source", "author_user_id"),
        *("config_id", "queue_id", "dataset_run_id", "usage_pricing_tier_name", "usage_pricing_tier_id"),
    }
)
OWN = ("feature", "task_id", "task_type", "outcome", "plan", "release", "prompt_version", "api_key_id", "user_id")
_PLAIN_PATHS: Mapping[str, tuple[str, ...]] = {
    "user_id": ("user_id",),
    "release": ("release", "version"),
    "prompt_version": ("prompt_version",),
}
_PROVIDER = ("metadata.provider", "metadata.ls_provider", "metadata.gen_ai.system", "metadata.attributes.gen_ai.system")
_RESPONSE = ("metadata.response_id", "metadata.attributes.gen_ai.response.id", "metadata.gen_ai.response.id")
_TIER = tuple(
    f"{place}.service_tier"
    for place in ("metadata.response_metadata", "metadata.attributes.openai.response", "metadata", "model_parameters")
)
_READ = ("cache_read", "cached")
_WRITTEN = ("cache_creation", "cache_write")


def read_row(
    record: Mapping[str, Any],
    projection: Projection,
    fields: Mapping[str, str],
    parents: set[str],
    outcome_score: str | None,
    provider: str | None,
) -> Iterator[dict[str, Any] | OutcomeRow]:
    """A call, an outcome, or nothing. Raises Rejected and LeftOut."""
    if "start_time" not in record:
        if record.get("data_type") or "string_value" in record or ("value" in record and "trace_id" in record):
            yield from _read_score(record, projection, outcome_score)
            return
        raise LeftOut("not_a_call")  # a trace: its observations are the calls
    if not is_call(record) or record.get("id") in parents:
        raise LeftOut("parent_span")
    yield _read_observation(record, projection, fields, provider)


def is_call(record: Mapping[str, Any]) -> bool:
    """Whether an observation is a request to a model: spans, agents, tools and chains are not."""
    kind = record.get("type")
    return kind.upper() in CALL_TYPES if isinstance(kind, str) else bool(record.get("provided_model_name"))


def _read_observation(
    record: Mapping[str, Any], projection: Projection, fields: Mapping[str, str], provider: str | None
) -> dict[str, Any]:
    record = {**record, "metadata": decoded(record.get("metadata"))}
    own_paths = {name: [fields[name]] if name in fields else [] for name in (*OWN, "attempt", "pricing_tier")}
    event: dict[str, Any] = {}
    for name in OWN:
        paths = [*own_paths[name], f"metadata.{name}", f"metadata.attributes.{name}", *_PLAIN_PATHS.get(name, ())]
        event[name] = identifier(find(record, paths), name)
    event["task_id"] = event["task_id"] or task_of_trace(record.get("trace_id"), "trace_id", projection)
    if event["feature"] is None:
        found = features_of(record.get("tags"))
        if len(found) > 1:
            projection.keep("several_features")
        elif found:
            event["feature"] = identifier(found[0], "feature")
    model = identifier(record.get("provided_model_name"), "provided_model_name")
    start, end = moment(record.get("start_time")), moment(record.get("end_time"), "end_time")
    return event | {
        "time": start,
        "provider": identifier(find(record, _PROVIDER), "provider") or provider_of(model) or provider,
        "model": model.rpartition("/")[2] if model else None,
        "attempt": whole(find(record, [*own_paths["attempt"], "metadata.attempt"]), "attempt"),
        "status": "error" if str(record.get("level")).upper() == "ERROR" else "ok",
        "response_id": identifier(find(record, _RESPONSE), "response_id"),
        "trace_id": read_trace(record.get("trace_id")),
        "pricing_tier": find(record, [*own_paths["pricing_tier"], "metadata.pricing_tier", *_TIER]),
        "latency_ms": milliseconds_between(start, end),
        "logged_cost_usd": read_cost(_cost(record)),
        **read_tokens(decoded(record.get("usage_details")), projection),
    }


def _cost(record: Mapping[str, Any]) -> Any:
    total = record.get("total_cost")
    if total not in (None, ""):
        return total
    details = decoded(record.get("cost_details"))
    return details.get("total") if isinstance(details, Mapping) else None


def read_tokens(usage: Any, projection: Projection) -> dict[str, int | None]:
    """The five kinds of a usage_details map, whose keys each integration names in its own way.

    Langfuse means its kinds to be disjoint, and some integrations send an input that includes the cached part:
    the total tells. Kinds that are neither input nor output (images, seconds of audio) are not tokens of ours.
    """
    kinds = dict.fromkeys(("input", "read", "written", "output", "reasoning"))
    found: dict[str, int] = {}
    total: int | None = None
    for key, value in usage.items() if isinstance(usage, Mapping) else ():
        count = whole(value, "usage_details")
        if count is None:
            continue
        if key == "total":
            total = count
        elif kind := _kind(str(key)):
            found[kind] = found.get(kind, 0) + count
    kinds |= found
    if not found:
        return dict(zip(_TOKENS, [None] * 5, strict=True))
    if total is not None and total != sum(found.values()):
        if total == found.get("input", 0) + found.get("output", 0):  # the parts are inside
            kinds["input"] = uncached(kinds["input"], kinds["read"], kinds["written"])
            kinds["output"] = uncached(kinds["output"], kinds["reasoning"])
        else:
            projection.keep("unknown_tokens")
            return dict(zip(_TOKENS, [None] * 5, strict=True))
    return dict(zip(_TOKENS, kinds.values(), strict=True))


_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def _kind(key: str) -> str | None:
    lowered = key.lower()
    if any(part in lowered for part in _WRITTEN):
        return "written"
    if any(part in lowered for part in _READ):
        return "read"
    if "reasoning" in lowered:
        return "reasoning"
    if lowered.startswith(("input", "prompt")):
        return "input"
    return "output" if lowered.startswith(("output", "completion")) else None


def _read_score(record: Mapping[str, Any], projection: Projection, outcome_score: str | None) -> Iterator[OutcomeRow]:
    if outcome_score is None or record.get("name") != outcome_score:
        return
    # The trace is the task, or belongs to one, as the calls tell. The score of a session has no trace.
    task_id = identifier(record.get("trace_id"), "trace_id") or identifier(record.get("session_id"), "session_id")
    outcome = _outcome(record)
    if task_id is None or outcome is None:
        projection.keep("no_outcome")
        return
    # A score that is changed keeps its timestamp: the later word is the one that was written later.
    told = [moment(record.get(name), name) for name in ("timestamp", "updated_at")]
    yield OutcomeRow(task_id, outcome, read_time(max((at for at in told if at is not None), default=None)))


def _outcome(record: Mapping[str, Any]) -> str | None:
    text = identifier(record.get("string_value"), "string_value")
    if text is not None:
        return text.lower() if record.get("data_type") == "BOOLEAN" else text
    value = record.get("value")
    if value in (None, ""):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return identifier(value, "value")  # a category written as the value itself
    if not number.is_finite():
        return None
    if record.get("data_type") == "BOOLEAN":
        return "true" if number else "false"
    return format(number.normalize(), "f")
