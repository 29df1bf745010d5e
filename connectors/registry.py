"""Every connector, by source type. To add one, add its line here; nothing else lists them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from connectors.base import Connector
from connectors.errors import ConfigError

# type → "module:class"; imported when first used, so that the command line starts fast.
CONNECTORS: dict[str, str] = {
    "anthropic": "connectors.anthropic:Anthropic",
    "aws_cost_explorer": "connectors.aws_cost_explorer:AwsCostExplorer",
    "aws_data_exports": "connectors.aws_data_exports:AwsDataExports",
    "bedrock_logs": "connectors.bedrock_logs:BedrockLogs",
    "events": "connectors.events:Events",
    "focus_files": "connectors.focus_files:FocusFiles",
    "ga4": "connectors.ga4:Ga4",
    "gcp_billing": "connectors.gcp_billing:GcpBilling",
    "langfuse": "connectors.langfuse:Langfuse",
    "litellm": "connectors.litellm:LiteLlm",
    "openai": "connectors.openai:OpenAI",
    "openrouter": "connectors.openrouter:OpenRouter",
    "otel": "connectors.otel:Otel",
    "outcomes": "connectors.outcomes:Outcomes",
    "prometheus": "connectors.prometheus:Prometheus",
    "provider_csv": "connectors.provider_csv:ProviderCsv",
}


def connector_class(source_type: str) -> type[Connector]:
    """The class for a source type. Raises ConfigError for an unknown type."""
    if source_type not in CONNECTORS:
        raise ConfigError(f"unknown source type {source_type!r}", cure=f"use one of {', '.join(sorted(CONNECTORS))}")
    module, _, name = CONNECTORS[source_type].partition(":")
    found: type[Connector] = getattr(import_module(module), name)
    return found


def connect(source_type: str, *, name: str, options: Mapping[str, Any]) -> Connector:
    """A configured connector. Raises pydantic.ValidationError where `options` are not its own."""
    cls = connector_class(source_type)
    return cls(name=name, options=cls.Options.model_validate(options))  # type: ignore[call-arg]
