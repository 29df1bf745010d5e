"""Where incidents go: channel and owner by feature, with defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FeatureRoute:
    """Where a feature's incidents go. None: the default."""

    channel: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class Routing:
    """Channel and owner by feature, from features.yml, with defaults."""

    default_channel: str
    default_owner: str = ""
    features: Mapping[str, FeatureRoute] = field(default_factory=dict)

    def find_channel(self, node: str) -> str:
        route = self.features.get(node)
        return (route.channel if route else None) or self.default_channel

    def find_owner(self, node: str) -> str:
        route = self.features.get(node)
        return (route.owner if route else None) or self.default_owner
