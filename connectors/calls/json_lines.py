"""JSON lines → projected batches, block by block, so that memory holds a few blocks, however long the file.

A block is read by Arrow's JSON reader on threads of its own. Where that reader stumbles, or sees another
number of rows than there are lines, the block goes line by line through Python's, which says what is wrong.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.json as pj

from connectors.calls.projection import Numbered, Projection
from connectors.calls.rules import COUNTS, KNOWN, TEXTS

BLOCK_BYTES = 4 * 2**20
LONGEST_LINE_BYTES = 16 * 2**20
READERS = 2  # threads that parse blocks ahead of the projection
BOM = b"\xef\xbb\xbf"

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("time", "status", "pricing_tier", "user_id", *TEXTS)),
        *((name, pa.float64() if name == "latency_ms" else pa.int64()) for name in COUNTS),
        ("gpu_seconds", pa.float64()),
    ]
)


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _LongLine:
    """Stands in the stream of blocks for a line that was too long to be held."""


def project_lines(stream: Stream, projection: Projection) -> Iterator[pa.RecordBatch]:
    """The calls of a stream of lines in the events' own words.

    A last line without its line end is taken if it is whole, else left for the next run.
    """
    with ThreadPoolExecutor(READERS) as readers:
        ahead: deque[tuple[bytes | _LongLine, Any]] = deque()
        blocks = split_blocks(stream)
        for block in blocks:
            ahead.append((block, readers.submit(_read_block, block) if isinstance(block, bytes) else None))
            if len(ahead) > READERS:
                yield from _project(*ahead.popleft(), projection)
        while ahead:
            yield from _project(*ahead.popleft(), projection)


def read_lines(stream: Stream, projection: Projection) -> Iterator[Numbered]:
    """(line number, object) of every line of a source's own log; what is no object is counted."""
    for block in split_blocks(stream):
        if isinstance(block, _LongLine):
            projection.lines += 1
            projection.reject("longer than 16 MiB")
        else:
            yield from _objects(block, projection)


def split_blocks(stream: Stream) -> Iterator[bytes | _LongLine]:
    """Whole lines, some megabytes at a time; the last block may lack its line end."""
    rest, is_skipping, is_first = b"", False, True
    while chunk := stream.read(BLOCK_BYTES):
        if is_first:
            chunk, is_first = chunk.removeprefix(BOM), False
        if is_skipping:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            chunk, is_skipping = chunk[end + 1 :], False
        end = chunk.rfind(b"\n")
        if end >= 0:
            yield rest + chunk[: end + 1]
            rest = chunk[end + 1 :]
        else:
            rest += chunk
        if len(rest) > LONGEST_LINE_BYTES:
            yield _LongLine()
            rest, is_skipping = b"", True
    if rest:
        yield rest


def _project(block: bytes | _LongLine, reading: Any, projection: Projection) -> Iterator[pa.RecordBatch]:
    if isinstance(block, _LongLine):
        projection.lines += 1
        projection.reject("longer than 16 MiB")
        return
    table = reading.result()
    batch = None if table is None else projection.project_table(table)
    if batch is None:
        batch = projection.project_records(list(_objects(block, projection)))
    else:
        projection.lines += table.num_rows
        for name in table.column_names:
            if name not in KNOWN and (present := table.num_rows - table.column(name).null_count):
                projection.drop_fields([name], present)
    if batch.num_rows:
        yield batch


def _read_block(block: bytes) -> pa.Table | None:
    """The block as a table, if every line is one flat object that reads as it should; else None."""
    if not block.endswith(b"\n") or not _is_utf8(block):
        return None
    try:
        table = pj.read_json(
            io.BytesIO(block),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="infer"),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return table if table.num_rows == block.count(b"\n") else None


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _objects(block: bytes, projection: Projection) -> Iterator[Numbered]:
    decode = json.JSONDecoder().decode
    for line in block.splitlines(keepends=True) if b"\r" not in block else io.BytesIO(block):
        projection.lines += 1
        try:
            record = decode(line.decode())
        except (ValueError, RecursionError) as error:
            if not line.strip():
                continue
            if not line.endswith(b"\n"):
                projection.pending = 1
                projection.lines -= 1
            else:
                projection.reject("not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON")
            continue
        if record.__class__ is dict:
            yield projection.lines, record
        else:
            projection.reject("not a JSON object")
