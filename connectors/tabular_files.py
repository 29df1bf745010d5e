"""Billing files as tables: their format, their columns, and whether they are whole. No row is read.

A CSV is read up to its first row, a gzip to its end (a cut one can break off between two rows and
look like a shorter bill), a Parquet file's footer. What is wrong with a file is a PayloadError that
names the file and the cure.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa

from connectors.base import FileScan
from connectors.errors import PayloadError
from connectors.unpacking import Meter, check_parquet_size

Format = Literal["csv", "parquet"]
SUFFIXES: Mapping[str, Format] = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}
HEADER_BYTES = 1 << 20  # a header of 1,000 tag columns has about 40 kB
_READ_BYTES = 1 << 20
_FETCH_AGAIN = "export or copy the file again"


@dataclass(frozen=True)
class TableFile:
    """One file. `types` are Arrow's, per column; None for a CSV, where every column is text."""

    name: str
    path: Path
    file_format: Format
    columns: tuple[str, ...]
    types: tuple[pa.DataType, ...] | None
    is_empty: bool  # a header and no rows
    delimiter: str = ","

    def type_of(self, column: str) -> pa.DataType | None:
        return None if self.types is None else self.types[self.columns.index(column)]


def data_suffix(name: str) -> str | None:
    """The suffix that says which format a file has, whatever its case; None when it is none of ours."""
    lowered = name.lower()
    return next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if lowered.endswith(suffix)), None)


def read_table_file(name: str, path: Path, *, delimiters: str = ",") -> TableFile:
    """The table in one landed file. `name` is the payload's own name; landing may have added `.gz` to `path`.

    `delimiters`: what may stand between the columns of a CSV; the one that gives most columns does.
    Raises PayloadError when the file is empty, cut, or not what its name says.
    """
    suffix = data_suffix(name)
    if suffix is None:
        raise PayloadError("not a CSV or Parquet file", where=name, cure=f"use one of {', '.join(SUFFIXES)}")
    if SUFFIXES[suffix] == "parquet":
        return _read_parquet(name, path)
    was_gzipped = suffix.endswith(".gz")
    if was_gzipped or path.name.lower().endswith(".gz"):
        return _read_csv(name, path, delimiters, is_gzip=True, was_gzipped=was_gzipped)
    return _read_csv(name, path, delimiters, is_gzip=False, was_gzipped=False)


def scans(
    layout: str, mapped: Sequence[tuple[TableFile, Mapping[str, str]]], *, null_text: tuple[str, ...] = ("",)
) -> tuple[FileScan, ...]:
    """The files as scans: one, unless format, spelling or types differ so that one would mix them.

    Files may lack columns that others have. A column that two files spell or type differently starts
    another scan: a reader that unites them would cast the one to the other's type, and lose digits.
    """
    groups: list[tuple[list[TableFile], dict[str, str], dict[str, object]]] = []
    for file, columns in mapped:
        facts: dict[str, object] = {"format": file.file_format}
        facts |= {f"spelling of {canonical}": actual for canonical, actual in columns.items()}
        if file.types is not None:
            facts |= {f"type of {column}": kind for column, kind in zip(file.columns, file.types, strict=True)}
        for files, united, known in groups:
            if all(known.get(key, value) == value for key, value in facts.items()):
                files.append(file)
                united.update(columns)
                known.update(facts)
                break
        else:
            groups.append(([file], dict(columns), facts))
    return tuple(
        FileScan(
            layout=layout,
            file_format=files[0].file_format,
            files=tuple(file.path for file in files),
            columns=united,
            null_text=null_text if files[0].file_format == "csv" else (),
        )
        for files, united, _ in groups
    )


def file_notes(mapped: Sequence[tuple[TableFile, Mapping[str, str]]]) -> Iterator[str]:
    """What a person should know of the files as such: empty ones, and columns that only some have.

    `mapped`: each file with its columns, canonical name → name in the file; names with a '.' (tags) come and go.
    """
    empty = [file.name for file, _ in mapped if file.is_empty]
    if empty:
        yield f"{named(empty)}: a header and no rows"
    spelled = {canonical: name for _, columns in reversed(mapped) for canonical, name in columns.items()}
    lacking: dict[tuple[str, ...], list[str]] = {}
    for canonical, name in spelled.items():
        files = tuple(file.name for file, columns in mapped if canonical not in columns)
        if files and "." not in canonical:
            lacking.setdefault(files, []).append(repr(name))
    for files, names in lacking.items():
        what = f"column {names[0]} is" if len(names) == 1 else f"columns {named(names, 8)} are"
        yield f"{what} missing in {named(files)}: unknown for the rows there"


def missing_text(kind: str, missing: Sequence[str]) -> str:
    """The words of the error for required columns that a header lacks."""
    is_one = len(missing) == 1
    return f"the {kind} column{'' if is_one else 's'} {', '.join(missing)} {'is' if is_one else 'are'} missing"


def extra_text(kind: str, extra: Sequence[str]) -> str:
    """The words of the note for columns that are not read."""
    return f"{len(extra)} column{'' if len(extra) == 1 else 's'} outside {kind} kept aside: {named(extra, 20)}"


def named(names: Sequence[str], limit: int = 3) -> str:
    """A few names, and how many more there are."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def _read_parquet(name: str, path: Path) -> TableFile:
    import pyarrow.parquet as pq

    if path.stat().st_size == 0:
        raise PayloadError("the file is empty (0 bytes)", where=name, cure=_FETCH_AGAIN)
    with path.open("rb") as stream:
        start = stream.read(512)
    if not start.startswith(b"PAR1"):
        raise PayloadError(f"not a Parquet file{_looks_like(start)}", where=name, cure=_FETCH_AGAIN)
    try:
        with pq.ParquetFile(path) as file:
            schema, rows, footer = file.schema_arrow, file.metadata.num_rows, file.metadata
            unpacked = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise PayloadError("the Parquet file is cut off or damaged", where=name, cure=_FETCH_AGAIN) from None
    check_parquet_size(path.stat().st_size, rows=rows, unpacked_bytes=unpacked, where=name)
    return TableFile(name, path, "parquet", tuple(schema.names), tuple(schema.types), is_empty=rows == 0)


def _read_csv(name: str, path: Path, delimiters: str, *, is_gzip: bool, was_gzipped: bool) -> TableFile:
    with path.open("rb") as raw:
        start = raw.read(512)
    if not start:
        raise PayloadError("the file is empty (0 bytes)", where=name, cure=_FETCH_AGAIN)
    if is_gzip and not start.startswith(b"\x1f\x8b"):
        raise PayloadError(f"not a gzip file{_looks_like(start)}", where=name, cure=_FETCH_AGAIN)
    with _damage_named(name), gzip.open(path) if is_gzip else path.open("rb") as stream:
        head = _read_up_to(stream, HEADER_BYTES)
        if was_gzipped:
            meter = Meter(path.stat().st_size, where=name)
            while meter.count(stream.read(_READ_BYTES)):
                pass
    columns, is_empty, delimiter = _read_header(name, head, delimiters)
    return TableFile(name, path, "csv", columns, None, is_empty, delimiter)


def _read_up_to(stream: IO[bytes] | Any, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := stream.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise PayloadError("the gzip file is cut off or damaged", where=name, cure=_FETCH_AGAIN) from None


def _read_header(name: str, head: bytes, delimiters: str) -> tuple[tuple[str, ...], bool, str]:
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        raise PayloadError("the file is empty", where=name, cure=_FETCH_AGAIN)
    likeness = _looks_like(head)
    if likeness:
        raise PayloadError(f"not a CSV file{likeness}", where=name, cure="give the file the suffix of its format")
    # Without its mark, UTF-16 shows by the zero byte beside every letter.
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or (head.strip(b"\0") and head[:200].count(0) * 3 > len(head[:200])):
        raise PayloadError("the text is UTF-16", where=name, cure="save it as UTF-8 (in Excel: CSV UTF-8)")
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) < HEADER_BYTES or error.start < len(head) - 3:
            line = head.count(b"\n", 0, error.start) + 1
            raise PayloadError(f"line {line} is not UTF-8", where=name, cure="save the file as UTF-8") from None
        text = head[: error.start].decode("utf-8-sig")  # what was read ends inside a character
    found: dict[str, tuple[tuple[str, ...], io.StringIO]] = {}
    for mark in delimiters:
        lines = io.StringIO(text, newline="")
        try:
            found[mark] = tuple(column.strip() for column in next(csv.reader(lines, delimiter=mark))), lines
        except csv.Error as error:
            raise PayloadError(f"the first lines are no CSV ({error})", where=name, cure=_FETCH_AGAIN) from None
    delimiter = max(found, key=lambda mark: len(found[mark][0]))
    header, lines = found[delimiter]
    _check_delimiter(name, header, delimiter)
    if not any(header):
        raise PayloadError(
            "the first line is blank, where the column names should be", where=name, cure="remove what is above them"
        )
    return header, not lines.read().strip(), delimiter


def _check_delimiter(name: str, header: Sequence[str], delimiter: str) -> None:
    whole = delimiter.join(header)
    for mark, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "pipes")):
        if whole.count(mark) > len(header):
            raise PayloadError(
                f"the columns are separated by {called}",
                where=name,
                cure="export with commas and with a decimal point: a semicolon file often has decimal commas, "
                "and a guess there would be a wrong amount",
            )
        if whole.lower() == f"sep={mark}":
            raise PayloadError(
                "the first line is Excel's separator line", where=name, cure="export as CSV UTF-8 with commas"
            )


_MAGIC = (
    (b"\x1f\x8b", "a gzip file: its name should end in .csv.gz"),
    (b"PAR1", "a Parquet file: its name should end in .parquet"),
    (b"PK\x03\x04", "a ZIP or Excel file: unpack it, or export as CSV"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"<", "HTML or XML"),
)


def _looks_like(start: bytes) -> str:
    if not start.strip(b"\0"):
        return ", it holds only zero bytes"
    for magic, meaning in _MAGIC:
        if start.removeprefix(b"\xef\xbb\xbf").startswith(magic):
            return f", it looks like {meaning}"
    return ""
