"""Prometheus: what vLLM served and how busy GPUs were, from range queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.http_api import ApiKey, BaseUrl, RetryPolicy
from connectors.prometheus.fetch import Fetcher
from connectors.prometheus.parse import parse_files

LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class PrometheusOptions(base.Options):
    """`base_url` without /api/v1; `token` is sent as a bearer token where one is needed.

    `select`: label matchers that every series must fulfil, as PromQL writes them: 'cluster="prod"'.
    `replica_labels`: labels by which servers of a highly available pair are told apart, beside `prometheus_replica`,
    `__replica__` and, where its counters run together, `replica`.
    `step_seconds`: how far apart samples are asked for; a counter that restarts twice within one step is seen once.
    """

    base_url: BaseUrl
    token: ApiKey | None = None
    select: str = ""
    step_seconds: Annotated[int, Field(ge=15, le=3600)] = 60
    model_label: LabelName = "model_name"
    replica_labels: tuple[LabelName, ...] = ()

    @field_validator("step_seconds")
    @classmethod
    def _divides_a_day(cls, seconds: int) -> int:
        if 86_400 % seconds:
            raise ValueError("must divide a day: 15, 30, 60, 300, …")
        return seconds


class Prometheus:
    """The `prometheus` source. See README.md for endpoint, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = PrometheusOptions
    type: ClassVar[str] = "prometheus"
    kind: ClassVar[Literal["billing", "telemetry"]] = "telemetry"
    restates_days: ClassVar[int] = 1
    settle_days: ClassVar[int] = 0

    def __init__(self, *, name: str, options: PrometheusOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._fetcher = Fetcher(name, options, retry)

    def check(self) -> list[CheckResult]:
        return self._fetcher.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """One delivery per day of the window."""
        return self._fetcher.discover(window)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return self._fetcher.fetch(ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(
            files, model_label=self.options.model_label, replica_labels=frozenset(self.options.replica_labels)
        )
