"""Reads files of JSON lines and hands over a projection of them; nothing else reaches disk."""

from __future__ import annotations

import gzip
import hmac
import io
import os
import stat
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import CheckResult, DeliveryRef, Payload, Window
from connectors.errors import ConfigError, IncompleteDelivery, PayloadError, PermissionDenied
from connectors.events.project import LONGEST_LINE_BYTES, Projection
from connectors.schema import CALLS
from connectors.unpacking import Meter, MeteredLines

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
BATCHES_PER_ROW_GROUP = 8
PROJECTION_VERSION = 1  # raise it when the allow-list or a rule changes: every file is then read again
SAMPLE_LINES = 1000


def discover_files(location: str, window: Window, *, source_name: str, hash_key: bytes | None) -> list[DeliveryRef]:
    """One ref per file, by relative path. Raises ConfigError when the location cannot be read."""
    refs: list[DeliveryRef] = []
    for path, scope in find_files(location):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # rotated away between the listing and now
        refs.append(
            DeliveryRef(
                source_name=source_name,
                scope=scope,
                window=window,
                replaces="scope",
                identity=f"{status.st_size}-{status.st_mtime_ns}-{_projection_id(hash_key)}",
                detail={"path": str(path), "size": status.st_size},
            )
        )
    return refs


def find_files(location: str) -> list[tuple[Path, str]]:
    """(path, scope) of every file of calls, in the order of their scopes; hidden ones are left out."""
    root = Path(location).expanduser()
    if "://" in location:
        raise ConfigError(
            f"events cannot be read from {location}", cure="give a folder of this machine, and sync the bucket to it"
        )
    try:
        mode = root.stat().st_mode
        if stat.S_ISREG(mode):
            return [(root, root.name)]
        found: list[tuple[Path, str]] = []
        for folder, subfolders, names in os.walk(root, onerror=_raise):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "_")))
            for name in names:
                if name.endswith(SUFFIXES) and not name.startswith((".", "_")):
                    path = Path(folder, name)
                    found.append((path, path.relative_to(root).as_posix()))
        return sorted(found, key=lambda item: item[1])
    except FileNotFoundError:
        raise ConfigError(f"{root} does not exist", cure="create it, or correct location") from None
    except PermissionError as error:
        raise PermissionDenied(f"{error.filename} may not be read", cure="let this user read the folder") from None


def _raise(error: OSError) -> None:
    raise error


def _projection_id(hash_key: bytes | None) -> str:
    """Changes with the allow-list's version and with the hash key, so that both lead to a new reading."""
    if hash_key is None:
        return f"v{PROJECTION_VERSION}"
    return f"v{PROJECTION_VERSION}-{hmac.digest(hash_key, b'trendbreak projection', 'sha256').hex()[:8]}"


def fetch_file(ref: DeliveryRef, *, hash_key: bytes | None) -> Iterator[Payload]:
    """`calls.parquet` (columns of schema.CALLS), then `rejects.json`: counts and line numbers only.

    The chunks of the second are known once the first has been consumed. Memory holds one group of
    rows, however long the file. Raises IncompleteDelivery when the file shrank or went away since
    discover, PayloadError when it is no gzip file though its name says so.
    """
    projection = Projection(hash_key)
    path, size = Path(ref.detail["path"]), int(ref.detail["size"])
    where = f"{ref.source_name}: {ref.scope}"
    yield Payload("calls.parquet", _parquet_chunks(_batches(_lines(path, size, projection, where), projection)))
    yield Payload("rejects.json", _report(projection))


def _report(projection: Projection) -> Iterator[bytes]:
    yield projection.report()


def _lines(path: Path, size: int, projection: Projection, where: str) -> Iterator[bytes]:
    """Whole lines; an unfinished last one is left for the next run, and counted."""
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        raise IncompleteDelivery("the file went away while it was read", where=where, cure="run again") from None
    except PermissionError:
        raise PermissionDenied("may not be read", where=where, cure="let this user read the file") from None
    with raw:
        if os.fstat(raw.fileno()).st_size < size:
            raise IncompleteDelivery("the file shrank while it was read", where=where, cure="run again")
        if not path.name.endswith(".gz"):
            # Not beyond the size that the identity speaks of: the rest is a new identity's.
            yield from _split(_Limited(raw, size), projection)
            return
        try:
            meter = Meter(os.fstat(raw.fileno()).st_size, where=where)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield from _split(MeteredLines(unpacked, meter), projection)
        except EOFError:
            projection.count_pending()  # a writer has the stream still open; what was whole is taken
        except (gzip.BadGzipFile, zlib.error) as error:
            raise PayloadError(
                f"is not a readable gzip file ({error})", where=where, cure="write the file again, or remove it"
            ) from None


class _Limited(io.RawIOBase):
    """The first `size` bytes of a file."""

    def __init__(self, raw: IO[bytes], size: int) -> None:
        self._raw, self._left = raw, size

    def readline(self, limit: int | None = -1, /) -> bytes:
        wanted = self._left if limit is None or limit < 0 else min(limit, self._left)
        line = self._raw.readline(wanted)
        self._left -= len(line)
        return line


def _split(stream: IO[bytes] | io.RawIOBase | MeteredLines, projection: Projection) -> Iterator[bytes]:
    while line := stream.readline(LONGEST_LINE_BYTES):
        if len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(LONGEST_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            projection.reject_long_line()
            continue
        yield line


def _batches(lines: Iterator[bytes], projection: Projection) -> Iterator[pa.RecordBatch]:
    for columns in projection.columns(lines):
        arrays = [pa.array(column, field.type) for field, column in zip(CALLS, columns, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=CALLS)


def _parquet_chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    sink = _Chunks()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), CALLS, compression="zstd") as writer:
        while group := list(islice(batches, BATCHES_PER_ROW_GROUP)):
            writer.write_table(pa.Table.from_batches(group))
            yield sink.take()
    yield sink.take()


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


def check_folder(location: str, *, hash_key: bytes | None) -> list[CheckResult]:
    """Is there a file, and do the first lines of the newest one follow the schema?"""
    try:
        files = find_files(location)
    except ConfigError as error:
        return [CheckResult(name="location", ok=False, detail=error.what, cure=error.cure)]
    if not files:
        cure = f"write files that end in {', '.join(SUFFIXES)} to it"
        return [CheckResult(name="location", ok=False, detail=f"{location} holds no file of calls", cure=cure)]
    results = [CheckResult(name="location", ok=True, detail=f"{len(files)} files")]
    path, scope = max(files, key=lambda item: (item[0].stat().st_mtime_ns, item[1]))
    projection = Projection(hash_key)
    try:
        lines = islice(_lines(path, path.stat().st_size, projection, scope), SAMPLE_LINES)
        taken = sum(len(columns[0]) for columns in projection.columns(lines))
    except (ConfigError, PayloadError, IncompleteDelivery) as error:
        return [*results, CheckResult(name="newest file", ok=False, detail=str(error), cure=error.cure)]
    rejected = projection.rejected_lines
    detail = f"{scope}: {taken} calls among the first {taken + rejected} lines"
    reasons = "; ".join(projection.reasons())
    results.append(
        CheckResult(
            name="newest file",
            ok=not rejected,
            detail=f"{detail} ({reasons})" if reasons else detail,
            cure="correct what writes these lines: connectors/events/README.md lists the fields" if rejected else "",
        )
    )
    if hash_key is None:
        results.append(
            CheckResult(name="user ids", ok=True, detail="dropped; with user_hash_key they are kept as keyed hashes")
        )
    return results
