"""OpenAI: the organization's costs, in dollars, and what its usage API metered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal, get_args

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.http_api import ApiKey, BaseUrl, RetryPolicy
from connectors.openai.fetch import Fetcher, UsageKind, split_window
from connectors.openai.parse import parse_files

DEFAULT_USAGE: tuple[UsageKind, ...] = get_args(UsageKind)


class OpenAIOptions(base.Options):
    """`admin_key` is an organization admin key (sk-admin-…), not a project key."""

    admin_key: ApiKey
    base_url: BaseUrl = "https://api.openai.com/v1"
    organization: str | None = None  # org-…; only where one key serves several organizations
    project_ids: tuple[str, ...] = ()  # empty = all
    usage: tuple[UsageKind, ...] = DEFAULT_USAGE
    api_key_names: bool = True


class OpenAI:
    """The `openai` source. See README.md for endpoints, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = OpenAIOptions
    type: ClassVar[str] = "openai"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    restates_days: ClassVar[int] = 3
    settle_days: ClassVar[int] = 1
    fetches_at_once: ClassVar[int] = 4

    def __init__(self, *, name: str, options: OpenAIOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._fetcher = Fetcher(name, options, retry)

    def check(self) -> list[CheckResult]:
        return self._fetcher.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        for part in split_window(window):
            yield DeliveryRef(source_name=self.name, scope="", window=part, replaces="window")

    def discover_hours(self, since: datetime, until: datetime) -> Iterable[DeliveryRef]:
        """One ref, whatever the hours: they are asked for page by page. None where no kind of usage is read."""
        if not self.options.usage:
            return
        window = Window(since.date(), (until - timedelta(microseconds=1)).date() + timedelta(days=1))
        yield DeliveryRef(self.name, "hours", window, "hours", detail={"since": since, "until": until})

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        if ref.replaces == "hours":
            return self._fetcher.fetch_hours(ref.detail["since"], ref.detail["until"])
        return self._fetcher.fetch(ref.window)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files, organization=self.options.organization)
