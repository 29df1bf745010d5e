"""A telemetry source that reads files of another tool's log: a connector says how one record reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.calls.files import check_location, discover_files
from connectors.calls.landed import parse_files
from connectors.calls.log_files import SUFFIXES, Records, read_records
from connectors.calls.options import TelemetryFileOptions
from connectors.calls.payloads import call_and_outcome_payloads, outcome_batch
from connectors.calls.projection import Numbered, Projection
from connectors.calls.reading import OutcomeRow
from connectors.calls.rules import LeftOut, Rejected
from connectors.errors import ConnectorError
from connectors.object_storage import StoredFile

SAMPLE_RECORDS = 200
AT_ONCE = 4096
Found = Mapping[str, Any] | OutcomeRow
Read = Callable[[Mapping[str, Any], Projection], Iterator[Found]]


def project_log(
    records: Iterable[tuple[int, Mapping[str, Any]]],
    read: Read,
    known: frozenset[str] | None,
    projection: Projection,
    outcomes: list[OutcomeRow],
) -> Iterator[pa.RecordBatch]:
    """Batches of the calls among records; outcomes are put aside, verdicts and unknown fields counted.

    `known`: the fields of a record that `read` looks at; the others are counted by their names.
    """
    waiting: list[Numbered] = []
    for number, record in records:
        if known is not None and (unknown := record.keys() - known):
            projection.drop_fields(name for name in unknown if record[name] is not None)
        try:
            for found in read(record, projection):
                if isinstance(found, OutcomeRow):
                    outcomes.append(found)
                    projection.outcomes += 1
                else:
                    waiting.append((number, found))
        except Rejected as rejected:
            projection.reject(str(rejected), number)
        except LeftOut as left_out:
            projection.leave_out(str(left_out))
        if len(waiting) >= AT_ONCE:
            yield projection.project_records(waiting)
            waiting = []
    if waiting:
        yield projection.project_records(waiting)


def log_payloads(
    records: Records, read: Read, known: frozenset[str] | None, projection: Projection
) -> Iterator[Payload]:
    """What is landed of a log: its calls, the outcomes that were found beside them, and what was counted."""
    outcomes: list[OutcomeRow] = []
    calls = project_log(records, read, known, projection, outcomes)
    return call_and_outcome_payloads(calls, _outcome_batches(outcomes), projection)


def _outcome_batches(outcomes: list[OutcomeRow]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(outcomes), AT_ONCE):
        yield outcome_batch(outcomes[start : start + AT_ONCE])


class LogFileSource:
    """The base of the sources that read files. Subclasses set `type`, `version`, `known`, and implement `reader`."""

    Options: ClassVar[type[base.Options]] = TelemetryFileOptions
    type: ClassVar[str]
    kind: ClassVar[Literal["billing", "telemetry"]] = "telemetry"
    restates_days: ClassVar[int] = 0  # a file that changes is read again whole, however old its days
    settle_days: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    version: ClassVar[int] = 3  # raise it when a rule changes: every file is then read again
    known: ClassVar[frozenset[str] | None] = None
    not_below: ClassVar[frozenset[str]] = frozenset()  # folders that a check does not look into
    options: TelemetryFileOptions

    def __init__(self, *, name: str, options: TelemetryFileOptions) -> None:
        self.name = name
        self.options = options

    def reader(self, file: StoredFile) -> Read:
        """How the records of a file read; called once per file, before its first record."""
        raise NotImplementedError

    def check(self) -> list[CheckResult]:
        results, newest = check_location(self.options, self.suffixes, not_below=self.not_below)
        if newest is None:
            return results
        projection = self.options.projection()
        try:
            first = self._first_records(newest, projection)
            for _ in project_log(first, self.reader(newest), self.known, projection, []):
                pass
        except ConnectorError as error:
            return [*results, CheckResult(name="newest file", ok=False, detail=str(error), cure=error.cure)]
        found = f"{newest.name}: {projection.calls} calls and {projection.outcomes} outcomes in its first records"
        reasons = "; ".join(projection.reasons())
        return [
            *results,
            CheckResult(
                name="newest file",
                # A run leaves out what it cannot read, and counts it.
                ok=bool(projection.calls or projection.outcomes) or not projection.rejected_lines,
                detail=f"{found} ({reasons})" if reasons else found,
                cure=f"connectors/{self.type}/README.md says what a record must have" if reasons else "",
            ),
        ]

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """Every file, whatever `window` is: which days a file holds is known only by reading it."""
        return discover_files(self.options, window, source_name=self.name, suffixes=self.suffixes, version=self.version)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        file: StoredFile = ref.detail["file"]
        projection = self.options.projection()
        return log_payloads(self._records(file, projection), self.reader(file), self.known, projection)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)

    def _records(self, file: StoredFile, projection: Projection) -> Records:
        where = f"{self.name}: {file.name}"
        return read_records(self.options.open(), file, projection, where, columns=self.known)

    def _first_records(self, file: StoredFile, projection: Projection) -> Records:
        records = self._records(file, projection)
        for _ in range(SAMPLE_RECORDS):
            found = next(records, None)
            if found is None:
                return
            yield found
