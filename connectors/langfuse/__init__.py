"""Langfuse: observations and scores of a blob storage export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from connectors import base
from connectors.calls.log_source import LogFileSource, Read
from connectors.calls.options import TelemetryFileOptions
from connectors.calls.projection import Projection
from connectors.calls.reading import spans_around
from connectors.langfuse.parse import KNOWN, is_call, read_row
from connectors.object_storage import StoredFile


class LangfuseOptions(TelemetryFileOptions):
    """`outcome_score`: the name of the score that says what became of a trace.

    `fields`: where your own fields stand in an observation, as dotted paths: {feature: metadata.app_feature}.
    `provider`: who serves models whose name does not tell.
    """

    outcome_score: str | None = None
    fields: Mapping[str, str] = Field(default_factory=dict)
    provider: str | None = None


class Langfuse(LogFileSource):
    """The `langfuse` source. See README.md for endpoint, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = LangfuseOptions
    type: ClassVar[str] = "langfuse"
    known: ClassVar[frozenset[str] | None] = KNOWN
    options: LangfuseOptions

    def __init__(self, *, name: str, options: LangfuseOptions) -> None:
        super().__init__(name=name, options=options)

    def reader(self, file: StoredFile) -> Read:
        """Two readings of the file: a generation around other generations is known only when they were seen."""
        parents: dict[str, str] = {}
        calls: list[str] = []
        for _, record in self._records(file, Projection(None)):
            if record.get("parent_observation_id") and "start_time" in record:
                parents[str(record.get("id"))] = str(record["parent_observation_id"])
                if is_call(record):
                    calls.append(str(record.get("id")))
        around = spans_around(parents, calls)
        given = self.options
        return lambda record, projection: read_row(
            record, projection, given.fields, around, given.outcome_score, given.provider
        )
