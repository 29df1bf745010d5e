"""Our own telemetry: one record per AI call, as JSON lines or Parquet, in a folder or on S3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.calls.files import discover_files
from connectors.calls.options import TelemetryFileOptions
from connectors.events.fetch import SUFFIXES, VERSION, check_files, fetch_file
from connectors.events.parse import parse_files


class EventsOptions(TelemetryFileOptions):
    """`location`: a folder, one file, or s3://bucket/prefix; the other keys are every telemetry source's."""


class Events:
    """The `events` source. See README.md for endpoint, grain, units, lag and quirks, docs/events.md for the fields."""

    Options: ClassVar[type[base.Options]] = EventsOptions
    type: ClassVar[str] = "events"
    kind: ClassVar[Literal["billing", "telemetry"]] = "telemetry"
    restates_days: ClassVar[int] = 0  # a file that changes is read again whole, however old its days
    settle_days: ClassVar[int] = 1

    def __init__(self, *, name: str, options: EventsOptions) -> None:
        self.name = name
        self.options = options

    def check(self) -> list[CheckResult]:
        return check_files(self.options)

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """Every file, whatever `window` is: which days a file holds is known only by reading it."""
        return discover_files(self.options, window, source_name=self.name, suffixes=SUFFIXES, version=VERSION)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return fetch_file(ref, self.options)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)
