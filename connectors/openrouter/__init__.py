"""OpenRouter: what its activity cost, in dollars, by day, model and endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.http_api import ApiKey, BaseUrl, RetryPolicy
from connectors.openrouter.fetch import Fetcher
from connectors.openrouter.parse import parse_files


class OpenRouterOptions(base.Options):
    """`management_key` is a provisioning (management) key: an inference key cannot read activity."""

    management_key: ApiKey
    base_url: BaseUrl = "https://openrouter.ai/api/v1"
    organization: str | None = None  # becomes the billing account


class OpenRouter:
    """The `openrouter` source. See README.md for endpoints, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = OpenRouterOptions
    type: ClassVar[str] = "openrouter"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    restates_days: ClassVar[int] = 3
    settle_days: ClassVar[int] = 1
    kept_days: ClassVar[int] = 30

    def __init__(self, *, name: str, options: OpenRouterOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._fetcher = Fetcher(name, options, retry)

    def check(self) -> list[CheckResult]:
        return self._fetcher.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """The days of `window` that OpenRouter still gives: it keeps thirty, and none that is not over."""
        return self._fetcher.discover(window)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return self._fetcher.fetch(ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files, organization=self.options.organization)
