"""Reads files of calls in the events' own words and hands over a projection of them; nothing else reaches disk."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import CheckResult, DeliveryRef, Payload
from connectors.calls.files import check_location, open_stream, read_whole
from connectors.calls.json_lines import project_lines
from connectors.calls.options import TelemetryFileOptions
from connectors.calls.payloads import call_payloads
from connectors.calls.projection import Projection
from connectors.calls.rules import KNOWN
from connectors.errors import ConnectorError, PayloadError
from connectors.object_storage import Storage, StoredFile

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")
VERSION = 3  # raise it when the allow-list or a rule changes: every file is then read again
BATCH_ROWS = 16_384
USERS_BATCH_ROWS = 500_000
SAMPLE_BYTES = 256 * 2**10


def fetch_file(ref: DeliveryRef, options: TelemetryFileOptions) -> Iterator[Payload]:
    """`calls.parquet` (columns of schema.CALLS), then `rejects.json`: counts and line numbers only."""
    projection = options.projection()
    where = f"{ref.source_name}: {ref.scope}"
    return call_payloads(read_calls(options.open(), ref.detail["file"], projection, where), projection)


def read_calls(storage: Storage, file: StoredFile, projection: Projection, where: str) -> Iterator[pa.RecordBatch]:
    """The projected calls of a file. Raises IncompleteDelivery and PayloadError."""
    if file.name.lower().endswith(".parquet"):
        yield from _read_parquet(read_whole(storage, file, where=where), projection, where)
        return
    with open_stream(storage, file, where=where) as stream:
        yield from project_lines(stream, projection)
        if getattr(stream, "is_cut", False):
            projection.pending = 1  # a writer has the gzip stream still open; what was whole is taken


def _read_parquet(data: bytes, projection: Projection, where: str) -> Iterator[pa.RecordBatch]:
    try:
        file = pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise PayloadError(
            f"is not a whole Parquet file ({str(error).splitlines()[0]})", where=where, cure="write the file again"
        ) from None
    names = file.schema_arrow.names
    unknown = [name for name in names if name not in KNOWN]
    users = _HashedUsers(data, names, projection)
    columns = [name for name in names if name in KNOWN and not (name == "user_id" and users.are_read)]
    for batch in file.iter_batches(BATCH_ROWS, columns=columns):
        table = pa.Table.from_batches([batch])
        hashed = users.take(table.num_rows)
        calls = projection.project_table(table, hashed)
        if calls is None:
            numbered = list(enumerate(table.to_pylist(), start=projection.lines + 1))
            calls = projection.project_records(numbered, hashed)
        projection.lines += table.num_rows
        if unknown:  # their values are never read
            for name in unknown:
                projection.drop_fields([name], table.num_rows)
        if calls.num_rows:
            yield calls


class _HashedUsers:
    """The hashes of a file's users, many rows at once: a user is looked up once for them all."""

    def __init__(self, data: bytes, names: Collection[str], projection: Projection) -> None:
        self._projection = projection
        self._held = pa.nulls(0, pa.string())
        self._batches: Iterator[pa.RecordBatch] | None = None
        if projection.hashes_users and "user_id" in names:
            file = pq.ParquetFile(io.BytesIO(data), read_dictionary=["user_id"])
            kind = file.schema_arrow.field("user_id").type
            if pa.types.is_dictionary(kind) and not pa.types.is_binary(kind.value_type):
                self._batches = file.iter_batches(USERS_BATCH_ROWS, columns=["user_id"])

    @property
    def are_read(self) -> bool:
        """Whether it reads the column, so that nobody else need do so."""
        return self._batches is not None

    def take(self, rows: int) -> pa.Array | None:
        """Of the next `rows` rows; None where nothing is hashed, or they have no such column of texts."""
        if self._batches is None:
            return None
        while len(self._held) < rows:
            hashes = self._projection.hash_users(next(self._batches).column(0))
            self._held = pa.concat_arrays([self._held, hashes])
        taken, self._held = self._held[:rows], self._held[rows:]
        return taken


def check_files(options: TelemetryFileOptions) -> list[CheckResult]:
    """Is there a file, and does the newest one follow the schema, as far as its beginning tells?"""
    results, newest = check_location(options, SUFFIXES)
    if newest is None:
        return results
    projection = options.projection()
    try:
        _sample(options.open(), newest, projection)
    except ConnectorError as error:
        return [*results, CheckResult(name="newest file", ok=False, detail=str(error), cure=error.cure)]
    rejected = projection.rejected_lines
    calls, lines = projection.calls, projection.calls + rejected
    read = f"{calls} call{'s' if calls != 1 else ''}"
    detail = f"{newest.name}: {read} among the first {lines} line{'s' if lines != 1 else ''}"
    reasons = "; ".join(projection.reasons())
    results.append(
        CheckResult(
            name="newest file",
            ok=bool(calls) or not rejected,  # a run leaves out the lines that it cannot read, and counts them
            detail=f"{detail} ({reasons})" if reasons else detail,
            cure="correct what writes these lines: docs/events.md lists the fields" if rejected and not calls else "",
        )
    )
    return results


def _sample(storage: Storage, file: StoredFile, projection: Projection) -> None:
    if file.name.lower().endswith(".parquet"):
        next(iter(read_calls(storage, file, projection, file.name)), None)
        return
    with open_stream(storage, file, where=file.name) as stream:
        head = stream.read(SAMPLE_BYTES)
    head = head[: head.rfind(b"\n") + 1] or head
    for _ in project_lines(io.BytesIO(head), projection):
        pass
