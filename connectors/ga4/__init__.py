"""Source type `ga4`: events of Google Analytics 4, from its BigQuery export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from connectors import base
from connectors.base import CheckResult, DeliveryRef, FetchPrice, Parsed, Payload, Window
from connectors.bigquery import BigQueryOptions
from connectors.calls.landed import parse_files
from connectors.calls.options import TelemetryOptions
from connectors.ga4.fetch import Fetcher
from connectors.ga4.parse import FIELDS
from connectors.http_api import RetryPolicy

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]  # of an event or a parameter in GA4


class Ga4Options(TelemetryOptions, BigQueryOptions):
    """`params`: which event parameter carries a field, where it is not the one of the field's own name.

    `user_column`: the column that tells users apart; a parameter that `params` names for user_id goes before it.
    `provider`: who serves the models of calls that name no provider; default: what the model's name tells.
    """

    no_part_of_identity: ClassVar[frozenset[str]] = TelemetryOptions.no_part_of_identity | {
        *("project", "credentials_file", "api_endpoint", "maximum_gigabytes_billed"),
    }
    call_events: tuple[Name, ...] = ("ai_request",)
    outcome_events: tuple[Name, ...] = ("ai_outcome",)
    params: Mapping[str, Name] = Field(default_factory=dict)
    user_column: Literal["user_id", "user_pseudo_id"] = "user_id"
    provider: str | None = None

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Ga4Options:
        if not self.call_events and not self.outcome_events:
            raise ValueError("name at least one event in call_events or outcome_events")
        if both := set(self.call_events) & set(self.outcome_events):
            raise ValueError(f"call_events and outcome_events both name {', '.join(sorted(both))}")
        if unknown := set(self.params) - set(FIELDS):
            raise ValueError(f"params: {', '.join(sorted(unknown))}: no such field; there are {', '.join(FIELDS)}")
        return self


class Ga4:
    """The `ga4` source. See README.md for tables, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = Ga4Options
    type: ClassVar[str] = "ga4"
    kind: ClassVar[Literal["billing", "telemetry"]] = "telemetry"
    restates_days: ClassVar[int] = 3  # Google: late events change a day's table for up to 72 hours
    settle_days: ClassVar[int] = 3

    def __init__(self, *, name: str, options: Ga4Options, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._fetcher = Fetcher(name, options, retry)

    def check(self) -> list[CheckResult]:
        """Which tables there are, what reading a day is billed for, and whether the events are in the newest."""
        return self._fetcher.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """The tables of the window's days and of the day on either side: a table is a day of the property's zone."""
        return self._fetcher.discover(window)

    def price(self, ref: DeliveryRef) -> FetchPrice:
        """By BigQuery's own dry run, which is free."""
        return self._fetcher.price(ref)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return self._fetcher.fetch(ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)
