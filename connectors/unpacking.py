"""How much a packed file may unpack to: a bill is text with many repeats, a bomb is nothing but repeats.

Real billing files unpack to 10 to 60 times their size; gzip's limit is 1,032 times, reached by zeros. What is above
both bounds below is refused with its size, before it fills memory, disk or hours.
"""

from __future__ import annotations

from connectors.errors import PayloadError

FREE_BYTES = 256 << 20  # whatever the ratio, so much is read
LARGEST_RATIO = 200
LARGEST_PARQUET_RATIO = 1_000
LARGEST_ROWS_PER_BYTE = 20
FREE_ROWS = 10_000_000
_CURE = "look at the file: billing files do not pack so well; export it again, or move it out of the location"


class Meter:
    """Counts what a gzip stream of `packed_bytes` unpacks to; more than a bill can be is a PayloadError."""

    def __init__(self, packed_bytes: int, *, where: str) -> None:
        self._limit = max(FREE_BYTES, LARGEST_RATIO * packed_bytes)
        self._packed_bytes, self._where = packed_bytes, where
        self._unpacked_bytes = 0

    def count(self, part: bytes) -> bytes:
        """`part`, counted. Raises PayloadError beyond the limit."""
        self._unpacked_bytes += len(part)
        if self._unpacked_bytes > self._limit:
            raise PayloadError(
                f"{self._packed_bytes:,} bytes unpack to more than {self._limit:,}", where=self._where, cure=_CURE
            )
        return part


def check_parquet_size(file_bytes: int, *, rows: int, unpacked_bytes: int, where: str) -> None:
    """Raise PayloadError when a Parquet footer promises more than so small a file can honestly hold."""
    if unpacked_bytes > max(FREE_BYTES, LARGEST_PARQUET_RATIO * file_bytes):
        raise PayloadError(f"{file_bytes:,} bytes unpack to {unpacked_bytes:,}", where=where, cure=_CURE)
    if rows > max(FREE_ROWS, LARGEST_ROWS_PER_BYTE * file_bytes):
        raise PayloadError(f"{file_bytes:,} bytes claim to hold {rows:,} rows", where=where, cure=_CURE)
