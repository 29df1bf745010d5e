"""Amazon Bedrock's model invocation logs in S3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from connectors import base
from connectors.base import DeliveryRef, Payload, Window
from connectors.bedrock_logs.fetch import day_records, day_refs
from connectors.bedrock_logs.parse import KNOWN, read_invocation
from connectors.calls.log_source import LogFileSource, Read, log_payloads
from connectors.calls.options import TelemetryFileOptions
from connectors.object_storage import StoredFile


class BedrockLogsOptions(TelemetryFileOptions):
    """`fields`: the key of requestMetadata under which a field stands, where it is not the field's own name."""

    fields: Mapping[str, str] = Field(default_factory=dict)


class BedrockLogs(LogFileSource):
    """The `bedrock_logs` source. See README.md for endpoint, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = BedrockLogsOptions
    type: ClassVar[str] = "bedrock_logs"
    restates_days: ClassVar[int] = 2  # files of an hour are written after it, and a day's last ones after the day
    known: ClassVar[frozenset[str] | None] = KNOWN
    suffixes: ClassVar[tuple[str, ...]] = (".json.gz", ".json")
    not_below: ClassVar[frozenset[str]] = frozenset({"data"})  # large bodies
    options: BedrockLogsOptions

    def __init__(self, *, name: str, options: BedrockLogsOptions) -> None:
        super().__init__(name=name, options=options)

    def reader(self, file: StoredFile) -> Read:
        return lambda record, projection: read_invocation(record, projection, self.options.fields)

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """One delivery per account, region and day of the window, of all its files."""
        return day_refs(self.options, window, source_name=self.name, version=self.version)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        projection = self.options.projection()
        files: tuple[StoredFile, ...] = ref.detail["files"]
        records = day_records(self.options.open(), files, projection, f"{self.name}: ")
        return log_payloads(records, self.reader(files[0]), self.known, projection)
