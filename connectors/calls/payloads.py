"""What is landed of telemetry: the projection and what was counted, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import Payload
from connectors.calls.projection import Projection
from connectors.calls.reading import OutcomeRow
from connectors.schema import CALLS, OUTCOMES

CALLS_FILE = "calls.parquet"
OUTCOMES_FILE = "outcomes.parquet"
REJECTS_FILE = "rejects.json"
ROW_GROUP_ROWS = 60_000
# A dictionary of these, or their least and greatest value, would only cost time.
DIFFERENT_IN_EVERY_ROW = frozenset({"task_id", "response_id", "user_hash", "trace_id"})


def call_payloads(batches: Iterable[pa.RecordBatch], projection: Projection) -> Iterator[Payload]:
    """`calls.parquet`, then `rejects.json`, whose chunks are known once the first has been consumed."""
    yield Payload(CALLS_FILE, _parquet_chunks(batches, CALLS))
    yield Payload(REJECTS_FILE, _report(projection))


def call_and_outcome_payloads(
    batches: Iterable[pa.RecordBatch], outcomes: Iterable[pa.RecordBatch], projection: Projection
) -> Iterator[Payload]:
    """Calls, the outcomes that were found beside them, and what was counted."""
    yield Payload(CALLS_FILE, _parquet_chunks(batches, CALLS))
    yield Payload(OUTCOMES_FILE, _parquet_chunks(outcomes, OUTCOMES))
    yield Payload(REJECTS_FILE, _report(projection))


def outcome_batch(rows: Sequence[OutcomeRow]) -> pa.RecordBatch:
    """Rows of OUTCOMES."""
    columns = {
        "task_id": [row.task_id for row in rows],
        "outcome": [row.outcome for row in rows],
        "outcome_at": [row.outcome_at for row in rows],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in OUTCOMES]
    return pa.RecordBatch.from_arrays(arrays, schema=OUTCOMES)


def _report(projection: Projection) -> Iterator[bytes]:
    yield projection.report()


def _parquet_chunks(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """The file, a row group at a time: one is compressed by a thread of its own while the next is projected."""
    sink = _Chunks()
    few = [name for name in schema.names if name not in DIFFERENT_IN_EVERY_ROW]
    repeated = [name for name in few if pa.types.is_string(schema.field(name).type)]
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": repeated, "write_statistics": few}
    with (
        pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, **options) as writer,
        ThreadPoolExecutor(1) as compressing,
    ):
        writing: Future[None] | None = None
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch)
            if sum(one.num_rows for one in waiting) >= ROW_GROUP_ROWS:
                if writing is not None:
                    writing.result()
                    yield sink.take()
                writing = compressing.submit(_write, writer, waiting)
                waiting = []
        if writing is not None:
            writing.result()
        if waiting:
            _write(writer, waiting)
    yield sink.take()


def _write(writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
    writer.write_table(pa.Table.from_batches(batches).combine_chunks())


class _Chunks(io.RawIOBase):
    """Keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._written += view
        return view.nbytes

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken
