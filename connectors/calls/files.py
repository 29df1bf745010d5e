"""Telemetry in files: which there are, and their bytes as a stream. Nothing of them is kept as it was sent."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.base import CheckResult, DeliveryRef, Window
from connectors.calls.options import TelemetryFileOptions
from connectors.errors import ConnectorError, IncompleteDelivery, PayloadError, PermissionDenied
from connectors.object_storage import Storage, StoredFile
from connectors.unpacking import Meter

_PACKED_BYTES = 1 << 20
LARGEST_PARQUET_BYTES = 512 * 2**20  # it is read in memory: nothing of it may reach a temporary file


def telemetry_files(
    storage: Storage, suffixes: tuple[str, ...], *, not_below: frozenset[str] = frozenset()
) -> list[StoredFile]:
    """Every file with one of the endings, by name; hidden ones (`.x`, `_x`, in such folders) are left out.

    `not_below`: names of folders whose files are not looked at.

    A location that is one file is taken whatever its name.
    """
    found = []
    for file in storage.files():
        parts = file.name.split("/")
        if any(part.startswith((".", "_")) for part in parts) or not_below & set(parts[:-1]):
            continue
        if file.name.lower().endswith(suffixes) or file.address == storage.address:
            found.append(file)
    return sorted(found, key=lambda file: file.name)


def discover_files(
    options: TelemetryFileOptions,
    window: Window,
    *,
    source_name: str,
    suffixes: tuple[str, ...],
    version: int,
) -> list[DeliveryRef]:
    """One ref per file, by relative path; which days a file holds is known only by reading it."""
    storage = options.open()
    return [
        DeliveryRef(
            source_name=source_name,
            scope=file.name,
            window=window,
            replaces="scope",
            identity=f"{file.size}-{file.version}-{options.fingerprint(version)}",
            detail={"file": file},
        )
        for file in telemetry_files(storage, suffixes)
    ]


@contextmanager
def open_stream(storage: Storage, file: StoredFile, *, where: str) -> Iterator[Any]:
    """The file's bytes, unpacked if its name ends in .gz, up to the size that its identity speaks of.

    A local log may grow while it is read: what is beyond the size is a later identity's. Raises
    IncompleteDelivery when it shrank or went away, PayloadError when it is no gzip file though its name says so.
    """
    path = storage.local_path(file)
    with _errors_named(where):
        if path is None:
            raw: Any = _Joined(storage.chunks(file))
        else:
            raw = _Limited(path.open("rb"), file.size, where)
        try:
            yield Unpacked(raw, Meter(file.size, where=where)) if file.name.lower().endswith(".gz") else raw
        finally:
            raw.close()


@contextmanager
def _errors_named(where: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise IncompleteDelivery("the file went away while it was read", where=where, cure="run again") from None
    except PermissionError:
        raise PermissionDenied("may not be read", where=where, cure="let this user read the file") from None
    except zlib.error as error:
        raise PayloadError(
            f"is not a readable gzip file ({error})", where=where, cure="write the file again, or remove it"
        ) from None


def read_whole(storage: Storage, file: StoredFile, *, where: str) -> bytes:
    """A Parquet file in memory. Raises PayloadError when it is too large for that."""
    if file.size > LARGEST_PARQUET_BYTES:
        raise PayloadError(
            f"{file.size >> 20} MB are more than the {LARGEST_PARQUET_BYTES >> 20} MB that are read in memory",
            where=where,
            cure="write smaller files",
        )
    with _errors_named(where):
        return b"".join(storage.chunks(file))


class _Limited(io.RawIOBase):
    """The first `size` bytes of an open file."""

    def __init__(self, raw: Any, size: int, where: str) -> None:
        raw.seek(0, io.SEEK_END)
        if raw.tell() < size:
            raw.close()
            raise IncompleteDelivery("the file shrank while it was read", where=where, cure="run again")
        raw.seek(0)
        self._raw, self._left = raw, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._raw.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Unpacked:
    """A gzip file's content, of one or more members. `is_cut`: it ended within a member, as an open log does.

    Unlike gzip.GzipFile it gives what is there before it says that the rest is missing.
    """

    def __init__(self, raw: Any, meter: Meter) -> None:
        self._raw, self._meter = raw, meter
        self._member = zlib.decompressobj(wbits=31)
        self._is_inside = False
        self._rest = b""
        self.is_cut = False

    def read(self, size: int, /) -> bytes:
        while True:
            packed = self._rest or self._raw.read(_PACKED_BYTES)
            if not packed:
                self.is_cut = self._is_inside
                return b""
            if not self._is_inside:
                packed = packed.lstrip(b"\0")  # what pads between members
                if not packed:
                    self._rest = b""
                    continue
                self._is_inside = True
            found = self._member.decompress(packed, size)
            self._rest = self._member.unconsumed_tail
            if self._member.eof:
                self._rest = self._member.unused_data
                self._member, self._is_inside = zlib.decompressobj(wbits=31), False
            if found:
                return self._meter.count(found)


class _Joined(io.RawIOBase):
    """Chunks as one stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def check_location(
    options: TelemetryFileOptions, suffixes: tuple[str, ...], *, not_below: frozenset[str] = frozenset()
) -> tuple[list[CheckResult], StoredFile | None]:
    """Can the location be read, and does it hold files; with the newest of them, for a look into it."""
    try:
        files = telemetry_files(options.open(), suffixes, not_below=not_below)
    except ConnectorError as error:
        return [CheckResult(name="location", ok=False, detail=error.what, cure=error.cure)], None
    if not files:
        cure = f"write files that end in {', '.join(suffixes)} to it"
        return [
            CheckResult(name="location", ok=False, detail=f"{options.location} holds no such file", cure=cure)
        ], None
    newest = max(files, key=lambda file: (file.modified, file.name))
    return [CheckResult(name="location", ok=True, detail=f"{len(files)} file{'s' if len(files) != 1 else ''}")], newest
