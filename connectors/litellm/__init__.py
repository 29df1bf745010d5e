"""LiteLLM: the spend logs of a proxy, from its API or from an export of LiteLLM_SpendLogs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.calls.landed import parse_files
from connectors.calls.log_source import LogFileSource, Read
from connectors.calls.options import TelemetryFileOptions
from connectors.http_api import ApiKey, BaseUrl, RetryPolicy
from connectors.litellm.fetch import Fetcher
from connectors.litellm.parse import KNOWN, read_spend_log
from connectors.object_storage import StoredFile


class LiteLlmOptions(TelemetryFileOptions):
    """Either `location` (an export) or `base_url` and `api_key` (the proxy).

    `fields`: where your own fields stand in a row, as dotted paths: {feature: metadata.app.feature}.
    """

    location: str = ""
    base_url: BaseUrl | None = None
    api_key: ApiKey | None = None
    fields: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_two(self) -> LiteLlmOptions:
        if bool(self.location) == bool(self.base_url):
            raise ValueError("give location (an export's files) or base_url with api_key (the proxy), and not both")
        if self.base_url and self.api_key is None:
            raise ValueError("base_url needs api_key: the proxy's master key or an admin's")
        return self


class LiteLlm:
    """The `litellm` source. See README.md for endpoint, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = LiteLlmOptions
    type: ClassVar[str] = "litellm"
    kind = LogFileSource.kind
    restates_days: ClassVar[int] = 1  # rows are written in batches, some minutes after their requests
    settle_days: ClassVar[int] = 1
    fetches_at_once: ClassVar[int] = 4

    def __init__(self, *, name: str, options: LiteLlmOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._source: Fetcher | _Export = (
            Fetcher(name, options, retry) if options.base_url else _Export(name=name, options=options)
        )

    def check(self) -> list[CheckResult]:
        return self._source.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """The days of `window` from a proxy; every file of an export."""
        return self._source.discover(window)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return self._source.fetch(ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)


class _Export(LogFileSource):
    type: ClassVar[str] = "litellm"
    known: ClassVar[frozenset[str] | None] = KNOWN
    options: LiteLlmOptions

    def __init__(self, *, name: str, options: LiteLlmOptions) -> None:
        super().__init__(name=name, options=options)

    def reader(self, file: StoredFile) -> Read:
        return lambda record, projection: read_spend_log(record, projection, self.options.fields)
