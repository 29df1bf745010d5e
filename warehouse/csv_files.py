"""What is read of a CSV outside DuckDB: its header, and whether it is whole."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from warehouse.errors import LoadError

READ_BYTES = 1 << 20
FETCH_AGAIN = "fetch or export the file again"

Names = Mapping[Path, str]  # landed path → the payload's own name, which is the one a person knows


def name_of(path: Path, names: Names) -> str:
    return names.get(path, path.name)


def check_not_empty(path: Path, names: Names) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise LoadError("the file is not there", where=name_of(path, names), cure=FETCH_AGAIN) from error
    if size == 0:
        raise LoadError("the file is empty (0 bytes)", where=name_of(path, names), cure=FETCH_AGAIN)


def open_text(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The file's bytes, unpacked where its name says it is packed."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def text_of(handle: IO[bytes] | gzip.GzipFile) -> io.TextIOWrapper:
    """UTF-8 text; bytes that are none become surrogates, so that the row they stand in can be named."""
    return io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="")


def is_text(record: Sequence[str]) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for field in record for letter in field)


def _refuse_doubled_returns(handle: IO[bytes] | gzip.GzipFile, where: str) -> None:
    """Lines that end in \\r\\r\\n: text written twice for Windows. Readers take them for lines and empty lines."""
    first = handle.read(READ_BYTES).partition(b"\n")[0]
    handle.seek(0)
    if first.endswith(b"\r\r"):
        raise LoadError(
            "lines end in \\r\\r\\n, which is no line end",
            where=f"{where}, line 1",
            cure="write the file again with one line end (in Python: open it with newline='')",
        )


def read_csv_header(path: Path, names: Names) -> tuple[str, ...]:
    """The column names of a CSV; reads a packed file to its end, for a reader takes a cut one for a short one."""
    check_not_empty(path, names)
    where = name_of(path, names)
    try:
        with open_text(path) as handle:
            _refuse_doubled_returns(handle, where)
            text = text_of(handle)
            header = tuple(name.strip() for name in next(csv.reader(text), []))
            text.detach()
            if path.suffix == ".gz":
                while handle.read(READ_BYTES):
                    pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LoadError("the gzip file is cut off or damaged", where=where, cure=FETCH_AGAIN) from error
    except csv.Error as error:
        raise LoadError(f"the first line cannot be read: {error}", where=where, cure=FETCH_AGAIN) from error
    if not any(header) or not is_text(header):
        raise LoadError("the first line holds no column names in UTF-8", where=where, cure=FETCH_AGAIN)
    return header
