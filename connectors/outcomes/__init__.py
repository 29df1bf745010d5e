"""Outcomes of tasks: what became of them, told apart from the calls and often later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from connectors import base
from connectors.calls.log_source import LogFileSource, Read
from connectors.calls.options import TelemetryFileOptions
from connectors.object_storage import StoredFile
from connectors.outcomes.parse import FIELDS, read_outcome


class OutcomeFields(BaseModel):
    """Under which names a file has the three fields; dotted names reach into objects."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task_id: str = "task_id"
    outcome: str = "outcome"
    time: str = "time"


class OutcomesOptions(TelemetryFileOptions):
    """`fields`: other names of the three fields. `rename`: outcomes as the file writes them → as features.yml does."""

    fields: OutcomeFields = OutcomeFields()
    rename: Mapping[str, str] = Field(default_factory=dict)


class Outcomes(LogFileSource):
    """The `outcomes` source. See README.md for endpoint, grain, units, lag and quirks."""

    Options: ClassVar[type[base.Options]] = OutcomesOptions
    type: ClassVar[str] = "outcomes"
    known: ClassVar[frozenset[str] | None] = None  # its own names decide
    options: OutcomesOptions

    def __init__(self, *, name: str, options: OutcomesOptions) -> None:
        super().__init__(name=name, options=options)

    def reader(self, file: StoredFile) -> Read:
        names = {field: getattr(self.options.fields, field) for field in FIELDS}
        return lambda record, projection: read_outcome(record, projection, names, self.options.rename)
