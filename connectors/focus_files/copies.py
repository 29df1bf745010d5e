"""Files of equal content under two names: one of them is the bill, the others would count it again."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import PurePosixPath

from connectors.errors import PayloadError
from connectors.object_storage import Storage, StoredFile
from connectors.tabular_files import data_suffix
from connectors.unpacking import Meter

_PART_BYTES = 1 << 20


def age(file: StoredFile) -> tuple[datetime, datetime, str]:
    """Sorts files oldest first; a copy that kept the original's time comes after it."""
    return file.modified, file.arrived, file.name


def set_copies_aside(
    storage: Storage, files: Sequence[StoredFile]
) -> tuple[list[StoredFile], list[tuple[StoredFile, StoredFile]]]:
    """(originals, (copy, original) pairs). Of files with equal content the oldest is the original.

    Only files that can be equal are read: those of one size, and pairs such as bill.csv and bill.csv.gz.
    """
    digests: dict[str, str] = {}
    originals: list[StoredFile] = []
    copies: list[tuple[StoredFile, StoredFile]] = []
    by_size: dict[int, list[StoredFile]] = {}
    by_stem: dict[str, list[StoredFile]] = {}
    for file in sorted(files, key=age):
        original = next(
            (other for other in by_size.get(file.size, ()) if _same_bytes(storage, file, other, digests)), None
        )
        original = original or next(
            (other for other in by_stem.get(_stem(file), ()) if _same_text(storage, file, other, digests)), None
        )
        if original is not None:
            copies.append((file, original))
            continue
        originals.append(file)
        by_size.setdefault(file.size, []).append(file)
        by_stem.setdefault(_stem(file), []).append(file)
    return originals, copies


def _stem(file: StoredFile) -> str:
    return PurePosixPath(file.name).name.lower().removesuffix(".gz")


def _same_bytes(storage: Storage, file: StoredFile, other: StoredFile, digests: dict[str, str]) -> bool:
    if storage.local_path(file) is None and file.version == other.version:
        return True  # S3: equal ETag and size
    return _digest(storage, file, digests) == _digest(storage, other, digests)


def _same_text(storage: Storage, file: StoredFile, other: StoredFile, digests: dict[str, str]) -> bool:
    if data_suffix(file.name) == data_suffix(other.name):
        return False
    return _digest(storage, file, digests, unpacked=True) == _digest(storage, other, digests, unpacked=True)


def _digest(storage: Storage, file: StoredFile, digests: dict[str, str], *, unpacked: bool = False) -> str:
    """SHA-256 of the bytes, or of what they unpack to; kept in `digests` for the next comparison."""
    unpack = unpacked and data_suffix(file.name) == ".csv.gz"
    key = f"{file.name}\0{unpack}"
    if key not in digests:
        digest = hashlib.sha256()
        chunks = storage.chunks(file)
        try:
            meter = Meter(file.size, where=file.address)
            for chunk in map(meter.count, _unpacked(chunks)) if unpack else chunks:
                digest.update(chunk)
        except (zlib.error, PayloadError):
            digest.update(file.name.encode())  # damaged: equal to nothing, and refused when it is read
        digests[key] = digest.hexdigest()
    return digests[key]


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What the members of a gzip file unpack to, in small parts. Raises zlib.error when it is cut or damaged."""
    inflate = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        rest = chunk
        while rest:
            if inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
            yield inflate.decompress(rest, _PART_BYTES)
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    while part := inflate.flush():
        yield part
    if not inflate.eof:
        raise zlib.error("cut off")
