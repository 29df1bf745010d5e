"""One invocation log record → a call in the events' words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.calls.projection import Projection
from connectors.calls.reading import decoded, features_of, identifier, moment, whole
from connectors.calls.rules import LeftOut

# Bodies are among the fields that are known and not read: input.inputBodyJson, output.outputBodyJson.
KNOWN = frozenset(
    {
        *("schemaType", "schemaVersion", "timestamp", "accountId", "identity", "region", "requestId", "operation"),
        *("modelId", "input", "output", "requestMetadata", "inferenceRegion", "errorCode", "status", "serviceTier"),
    }
)
OWN = (
    *("feature", "task_id", "task_type", "attempt", "outcome", "user_id", "plan", "release", "prompt_version"),
    "pricing_tier",
)


def read_invocation(
    record: Mapping[str, Any], projection: Projection, fields: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The call. Token counts are disjoint: inputTokenCount is what was neither read from nor written to the cache."""
    if record.get("schemaType") not in (None, "ModelInvocationLog"):
        raise LeftOut("not_a_call")
    metadata = decoded(record.get("requestMetadata"))
    metadata = metadata if isinstance(metadata, Mapping) else {}
    given, came = _part(record, "input"), _part(record, "output")
    own = {name: metadata.get(fields.get(name, name)) for name in OWN}
    event: dict[str, Any] = {name: identifier(value, name) for name, value in own.items()}
    if event["feature"] is None and (found := features_of(metadata.get("tags"))):
        if len(found) > 1:
            projection.keep("several_features")
        else:
            event["feature"] = found[0]
    yield event | {
        "time": moment(record.get("timestamp")),
        "provider": "bedrock",
        "model": _model(identifier(record.get("modelId"), "modelId")),
        "attempt": whole(own["attempt"], "attempt"),
        "status": "error" if record.get("errorCode") else "ok",
        "response_id": identifier(record.get("requestId"), "requestId"),
        "pricing_tier": event["pricing_tier"] or _tier(record),
        "input_tokens": whole(given.get("inputTokenCount"), "inputTokenCount"),
        "cache_read_tokens": whole(given.get("cacheReadInputTokenCount"), "cacheReadInputTokenCount"),
        "cache_write_tokens": whole(given.get("cacheWriteInputTokenCount"), "cacheWriteInputTokenCount"),
        "output_tokens": whole(came.get("outputTokenCount"), "outputTokenCount"),
    }


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _tier(record: Mapping[str, Any]) -> str | None:
    """Bedrock names the tier `serviceTier`, plain or as {type: …}."""
    tier = decoded(record.get("serviceTier"))
    return identifier(tier.get("type") if isinstance(tier, Mapping) else tier, "serviceTier")


def _model(model_id: str | None) -> str | None:
    """Of an ARN (a foundation model's, an inference profile's) the part that names the model."""
    if model_id is None or not model_id.startswith("arn:"):
        return model_id
    return model_id.rpartition("/")[2] or model_id
