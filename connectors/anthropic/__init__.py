"""Anthropic: the organization's cost report, in dollars, split over API keys by its usage report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from connectors import base
from connectors.anthropic.fetch import DAYS_PER_DELIVERY, Fetcher
from connectors.anthropic.parse import parse_files
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.bucketed_reports import split_days
from connectors.http_api import ApiKey, BaseUrl, RetryPolicy


class AnthropicOptions(base.Options):
    """`admin_key` is an organization admin key (sk-ant-admin…), not a workspace's API key."""

    admin_key: ApiKey
    base_url: BaseUrl = "https://api.anthropic.com"
    organization: str | None = None  # becomes the billing account


class Anthropic:
    """The `anthropic` source. See README.md for endpoints, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = AnthropicOptions
    type: ClassVar[str] = "anthropic"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    restates_days: ClassVar[int] = 3
    settle_days: ClassVar[int] = 2
    fetches_at_once: ClassVar[int] = 4

    def __init__(self, *, name: str, options: AnthropicOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._fetcher = Fetcher(name, options, retry)

    def check(self) -> list[CheckResult]:
        return self._fetcher.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        for part in split_days(window, DAYS_PER_DELIVERY):
            yield DeliveryRef(source_name=self.name, scope="", window=part, replaces="window")

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return self._fetcher.fetch(ref.window)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files, organization=self.options.organization)
