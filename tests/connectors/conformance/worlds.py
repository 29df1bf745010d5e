"""The world of every connector; a new connector adds its line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.connectors.anthropic.world import AnthropicWorld
from tests.connectors.aws_cost_explorer.world import AwsCostExplorerWorld
from tests.connectors.aws_data_exports.world import AwsDataExportsWorld
from tests.connectors.bedrock_logs.world import BedrockLogsWorld
from tests.connectors.conformance.world import World
from tests.connectors.events.world import EventsWorld
from tests.connectors.focus_files.world import FocusFilesWorld
from tests.connectors.ga4.world import Ga4World
from tests.connectors.gcp_billing.world import GcpBillingWorld
from tests.connectors.langfuse.world import LangfuseWorld
from tests.connectors.litellm.world import LiteLlmWorld
from tests.connectors.openai.world import OpenAIWorld
from tests.connectors.openrouter.world import OpenRouterWorld
from tests.connectors.otel.world import OtelWorld
from tests.connectors.outcomes.world import OutcomesWorld
from tests.connectors.prometheus.world import PrometheusWorld
from tests.connectors.provider_csv.world import ProviderCsvWorld

WORLDS: dict[str, Callable[[int, Path], World]] = {
    "anthropic": lambda seed, folder: AnthropicWorld(seed),
    "aws_cost_explorer": lambda seed, folder: AwsCostExplorerWorld(seed),
    "aws_data_exports": AwsDataExportsWorld,
    "bedrock_logs": BedrockLogsWorld,
    "events": EventsWorld,
    "focus_files": FocusFilesWorld,
    "ga4": lambda seed, folder: Ga4World(seed),
    "gcp_billing": lambda seed, folder: GcpBillingWorld(seed),
    "langfuse": LangfuseWorld,
    "litellm": lambda seed, folder: LiteLlmWorld(seed),
    "openai": lambda seed, folder: OpenAIWorld(seed),
    "openrouter": lambda seed, folder: OpenRouterWorld(seed),
    "otel": OtelWorld,
    "outcomes": OutcomesWorld,
    "prometheus": lambda seed, folder: PrometheusWorld(seed),
    "provider_csv": ProviderCsvWorld,
}
