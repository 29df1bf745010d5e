"""One row of LiteLLM_SpendLogs (export or API) → a call in the events' words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors.calls.projection import Projection
from connectors.calls.reading import (
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
from connectors.calls.rules import read_cost, read_trace

# Columns of the table that are looked at. messages, response and proxy_server_request hold prompts.
KNOWN = frozenset(
    {
        *("request_id", "call_type", "spend", "total_tokens", "prompt_tokens", "completion_tokens", "startTime"),
        *("endTime", "completionStartTime", "model", "model_id", "model_group", "custom_llm_provider", "api_base"),
        *("metadata", "cache_hit", "cache_key", "request_tags", "team_id", "end_user", "user", "session_id", "status"),
        *("api_key", "organization_id", "requester_ip_address", "request_duration_ms", "mcp_namespaced_tool_name"),
        *("agent_id",),
    }
)
_OWN = ("metadata.{0}", "metadata.spend_logs_metadata.{0}", "metadata.requester_metadata.{0}")
OWN = ("feature", "task_id", "task_type", "outcome", "plan", "release", "prompt_version", "user_id", "api_key_id")
_USAGE = ("metadata.usage_object.{0}", "metadata.additional_usage_values.{0}")
_CACHE_READ = ("cache_read_input_tokens", "prompt_tokens_details.cached_tokens")
_CACHE_WRITE = ("cache_creation_input_tokens", "prompt_tokens_details.cache_creation_tokens")
_TIER = ("pricing_tier", "service_tier", "usage_object.service_tier", "model_parameters.service_tier")
_REASONING = ("completion_tokens_details.reasoning_tokens", "reasoning_tokens")


def read_spend_log(
    record: Mapping[str, Any], projection: Projection, fields: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The call. A request with many tags is one call; prompt_tokens include what the cache gave and took."""
    record = {**record, "metadata": decoded(record.get("metadata"))}

    def own(name: str) -> Any:
        given = [fields[name]] if name in fields else []
        return find(record, [*given, *(path.format(name) for path in _OWN)])

    model = identifier(record.get("model"), "model") or identifier(record.get("model_group"), "model_group")
    provider = identifier(record.get("custom_llm_provider"), "custom_llm_provider") or provider_of(model)
    start, end = moment(record.get("startTime")), moment(record.get("endTime"), "endTime")
    retries = whole(find(record, ["metadata.attempted_retries"]), "attempted_retries")
    attempt = whole(own("attempt"), "attempt")
    if attempt is None and retries is not None:
        attempt = retries + projection.first_attempt
    event: dict[str, Any] = {name: identifier(own(name), name) for name in OWN}
    event["feature"] = event["feature"] or _feature_of_tags(record, projection)
    event["user_id"] = event["user_id"] or identifier(record.get("end_user") or record.get("user"), "end_user")
    event["task_id"] = event["task_id"] or task_of_trace(record.get("session_id"), "session_id", projection)
    event |= {
        "time": start,
        "provider": provider,
        "model": _bare(model, provider),
        "attempt": attempt,
        "status": _status(record),
        "response_id": identifier(record.get("request_id"), "request_id"),
        "trace_id": read_trace(record.get("session_id")),
        "pricing_tier": _tier(record, own),
        "latency_ms": milliseconds_between(start, end),
    }
    if str(record.get("cache_hit")).lower() == "true":
        projection.keep("cache_hit")  # the gateway's own cache: the provider was not asked
        yield event | dict.fromkeys(_TOKENS, 0) | {"logged_cost_usd": "0"}
        return
    prompt = whole(record.get("prompt_tokens"), "prompt_tokens")
    completion = whole(record.get("completion_tokens"), "completion_tokens")
    read, written, reasoning = (_usage(record, names) for names in (_CACHE_READ, _CACHE_WRITE, _REASONING))
    yield event | {
        "input_tokens": uncached(prompt, read, written),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "output_tokens": uncached(completion, reasoning),
        "reasoning_tokens": reasoning,
        "logged_cost_usd": read_cost(record.get("spend")),
    }


_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def _tier(record: Mapping[str, Any], own: Callable[[str], Any]) -> Any:
    """As the provider's answer says it, else as was asked for; a row that sums a whole batch is at its price."""
    if "batch" in str(record.get("call_type")):
        return "batch"
    return next((found for name in _TIER if (found := own(name)) is not None), None)


def _usage(record: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return whole(find(record, [path.format(name) for name in names for path in _USAGE]), names[0])


def _feature_of_tags(record: Mapping[str, Any], projection: Projection) -> str | None:
    found = features_of(record.get("request_tags")) or features_of(find(record, ["metadata.tags"]))
    if len(found) > 1:
        projection.keep("several_features")  # it must not count in full for each
        return None
    return identifier(found[0], "feature") if found else None


def is_failure(record: Mapping[str, Any]) -> bool:
    """Whether the proxy says that the request failed; then it may never have been routed."""
    return _status({**record, "metadata": decoded(record.get("metadata"))}) == "error"


def _status(record: Mapping[str, Any]) -> str | None:
    status = record.get("status") or find(record, ["metadata.status"])
    if isinstance(status, str) and status.lower() in ("success", "failure"):
        return "ok" if status.lower() == "success" else "error"
    return "ok" if status is None and record.get("completion_tokens") else None


def _bare(model: str | None, provider: str | None) -> str | None:
    """LiteLLM writes some models with their provider in front: openai/gpt-5."""
    return model.removeprefix(f"{provider}/") if model and provider else model
