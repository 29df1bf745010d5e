"""OpenTelemetry: GenAI spans in the files that a collector's file exporter writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from connectors import base
from connectors.calls.log_source import LogFileSource, Read
from connectors.calls.options import TelemetryFileOptions
from connectors.calls.projection import Projection
from connectors.calls.reading import spans_around
from connectors.object_storage import StoredFile
from connectors.otel.parse import KNOWN, parents_of, read_line


class OtelOptions(TelemetryFileOptions):
    """`fields`: the attribute (of span or resource) under which your own fields stand: `{feature: app.feature}`."""

    fields: Mapping[str, str] = Field(default_factory=dict)


class Otel(LogFileSource):
    """The `otel` source. See README.md for endpoint, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = OtelOptions
    type: ClassVar[str] = "otel"
    known: ClassVar[frozenset[str] | None] = KNOWN
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
    options: OtelOptions

    def __init__(self, *, name: str, options: OtelOptions) -> None:
        super().__init__(name=name, options=options)

    def reader(self, file: StoredFile) -> Read:
        """Two readings of the file: a call span around another call span is known only when both were seen."""
        parents: dict[str, str] = {}
        calls: list[str] = []
        for _, record in self._records(file, Projection(None)):
            for span, parent, is_call in parents_of(record):
                parents[span] = parent
                if is_call:
                    calls.append(span)
        around = spans_around(parents, calls)
        return lambda record, projection: read_line(record, projection, self.options.fields, around)
