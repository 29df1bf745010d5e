"""Our own telemetry: one JSON object per AI call, in files of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.events.fetch import check_folder, discover_files, fetch_file
from connectors.events.parse import parse_files
from connectors.http_api import ApiKey


class EventsOptions(base.Options):
    """`location` is a file or a folder; without `user_hash_key` user ids are dropped."""

    location: str
    user_hash_key: ApiKey | None = None


class Events:
    """The `events` source. See README.md for fields, grain, units, rules and quirks."""

    Options: ClassVar[type[base.Options]] = EventsOptions
    type: ClassVar[str] = "events"
    kind: ClassVar[Literal["billing", "telemetry"]] = "telemetry"
    restates_days: ClassVar[int] = 0  # a file that changes is read again whole, however old its days
    settle_days: ClassVar[int] = 1

    def __init__(self, *, name: str, options: EventsOptions) -> None:
        self.name = name
        self.options = options

    def check(self) -> list[CheckResult]:
        return check_folder(self.options.location, hash_key=self._hash_key())

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """Every file, whatever `window` is: which days a file holds is known only by reading it."""
        return discover_files(self.options.location, window, source_name=self.name, hash_key=self._hash_key())

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return fetch_file(ref, hash_key=self._hash_key())

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)

    def _hash_key(self) -> bytes | None:
        key = self.options.user_hash_key
        return key.get_secret_value().encode() if key else None
