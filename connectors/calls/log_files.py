"""Files of another tool's log, one record at a time: JSON lines, JSON lists, CSV and Parquet, also `.gz`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.calls.files import open_stream, read_whole
from connectors.calls.json_lines import read_lines
from connectors.calls.projection import Projection
from connectors.errors import PayloadError
from connectors.object_storage import Storage, StoredFile

LARGEST_LIST_BYTES = 512 * 2**20  # a JSON list is one value: it is read in memory
BATCH_ROWS = 4096
LARGEST_FIELD_CHARS = 64 * 2**20  # a cell of a CSV may hold a prompt

_TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv")
SUFFIXES = (*_TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in _TEXT_SUFFIXES), ".parquet")

Records = Iterator[tuple[int, Mapping[str, Any]]]


def read_records(
    storage: Storage, file: StoredFile, projection: Projection, where: str, *, columns: frozenset[str] | None = None
) -> Records:
    """(number, record) of a file. `columns`: of a Parquet file only these are read, the others only counted.

    Raises PayloadError, IncompleteDelivery and what the storage raises.
    """
    name = file.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from _parquet(read_whole(storage, file, where=where), projection, where, columns)
        return
    with open_stream(storage, file, where=where) as stream:
        if name.endswith(".csv"):
            yield from _csv(stream, projection)
        elif name.endswith(".json"):
            yield from _json(stream, projection, where)
        else:
            yield from read_lines(stream, projection)
        if getattr(stream, "is_cut", False):
            projection.pending = 1


def _json(stream: Any, projection: Projection, where: str) -> Records:
    """A list of records, an object with a list under `data`, or JSON lines in spite of the name."""
    head = stream.read(1 << 16)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    first_line = text.partition(b"\n")[0].strip()
    if text[:1] == b"{" and _is_object(first_line):
        yield from read_lines(_Rejoined(head, stream), projection)
        return
    whole = bytearray(head)
    while chunk := stream.read(1 << 20):
        whole += chunk
        if len(whole) > LARGEST_LIST_BYTES:
            raise PayloadError("is too large for one JSON value", where=where, cure="export JSON lines or Parquet")
    if not whole.strip():
        return
    try:
        document = json.loads(whole)
    except (ValueError, RecursionError):
        if text[:1] == b"{" and not whole.rstrip().endswith(b"}"):
            yield from read_lines(io.BytesIO(bytes(whole)), projection)
            return
        raise PayloadError(
            "is neither a JSON list nor JSON lines", where=where, cure="export it again; is it still being written?"
        ) from None
    records = document.get("data", [document]) if isinstance(document, dict) else document
    for record in records if isinstance(records, list) else []:
        projection.lines += 1
        if isinstance(record, dict):
            yield projection.lines, record
        else:
            projection.reject("not a JSON object")


def _is_object(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    # {"data": [...]} on one line is a page of an API, not one record.
    return isinstance(found, dict) and not (isinstance(found.get("data"), list) and len(found) <= 8)


class _Rejoined:
    """A stream with its beginning put back."""

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int, /) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        found: bytes = self._stream.read(size)
        return found


class _Readable(io.RawIOBase):
    def __init__(self, stream: Any) -> None:
        self._stream, self._rest = stream, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._rest or self._stream.read(len(buffer))
        taken, self._rest = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _csv(stream: Any, projection: Projection) -> Records:
    csv.field_size_limit(LARGEST_FIELD_CHARS)
    text = io.TextIOWrapper(io.BufferedReader(_Readable(stream), 1 << 20), "utf-8-sig", errors="replace", newline="")
    rows = csv.reader(text)
    header = next(rows, None)
    if header is None:
        return
    for row in rows:
        if not row:
            continue
        projection.lines += 1
        if len(row) != len(header):
            projection.reject("another number of cells than the header has")
            continue
        yield projection.lines, {name: cell for name, cell in zip(header, row, strict=True) if cell != ""}


def _parquet(data: bytes, projection: Projection, where: str, columns: frozenset[str] | None) -> Records:
    try:
        file = pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise PayloadError(
            f"is not a whole Parquet file ({str(error).splitlines()[0]})", where=where, cure="write the file again"
        ) from None
    names = file.schema_arrow.names
    wanted = names if columns is None else [name for name in names if name in columns]
    for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
        for record in batch.to_pylist():
            projection.lines += 1
            yield projection.lines, {name: value for name, value in record.items() if value is not None}
    if unread := [name for name in names if name not in wanted]:
        for name in unread:
            projection.drop_fields([name], file.metadata.num_rows)
