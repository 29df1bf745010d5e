"""Which row of which file is at fault. Slow and careful: it runs only after a load has failed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import duckdb

from warehouse.columns import number_text
from warehouse.csv_files import FETCH_AGAIN, is_text, name_of, open_text, text_of
from warehouse.errors import LoadError
from warehouse.scans import Group, Scan, escape_glob
from warehouse.statements import quote_literal, render

MOST = Decimal(10) ** 26  # before the point of DECIMAL(38, 12)
PER_UNIT = Decimal(10) ** 6  # tokens in "1M tokens"


def find_bad_row(con: duckdb.DuckDBPyConnection, scan: Scan) -> LoadError | None:
    """The first value that cannot be read, as the error to raise; None when every value can.

    Slow and careful, file by file: it runs only after the load has failed.
    """
    for group in scan.groups:
        for path in group.files or (None,):
            if path is not None and group.file_format == "csv":
                broken = _find_broken_line(group, path)
                if broken is not None:
                    return broken
            found = _find_bad_value(con, group, path)
            if found is not None:
                return found
    return None


def find_too_large(con: duckdb.DuckDBPyConnection, scan: Scan, usd_per_unit: Decimal) -> LoadError | None:
    """The largest value of the column whose sums do not fit, as the error to raise; None when all sums do.

    `usd_per_unit`: the largest rate that amounts are multiplied by. Sums are taken as floating point, roughly.
    """
    worst: tuple[float, Group, str, str] | None = None
    for group in scan.groups:
        for names, largest in ((group.layout.money, MOST / usd_per_unit), (group.layout.quantities, MOST / PER_UNIT)):
            for name in names:
                if not group.columns.has(name):
                    continue
                number = f"abs(try_cast(({group.columns.text(name)}) AS DOUBLE))"
                row = con.execute(render("scan/rough_sum.sql", relation=group.relation, number=number)).fetchone()
                times = (row[0] or 0.0) / float(largest) if row else 0.0
                if times >= 1 and (worst is None or times > worst[0]):
                    worst = (times, group, name, f"{number} >= {row[1]!r}" if row else "FALSE")
    if worst is None:
        return None
    _, group, name, condition = worst
    what = "with it the sums do not fit into 38 digits, 12 of them after the point"
    if name in group.layout.quantities:
        what = "with it the sums, or the tokens or hours they stand for, do not fit into 38 digits"
    elif usd_per_unit > 1:
        what += f", in US dollars at {usd_per_unit.normalize():f} each"
    for path in group.files or (None,):
        hit = find_row(con, group, path, condition, shown=group.columns.text(name))
        if hit is not None:
            return bad_value_error(group, path, hit[0], name, hit[1], what)
    return None


def _checks(group: Group) -> Iterator[tuple[str, str, str]]:
    """(canonical column, SQL condition of a bad value, what is wrong with it)."""
    layout, columns = group.layout, group.columns
    for name in layout.never_null:
        yield name, f"({columns.text(name)}) IS NULL", "is empty"
    for kind, name in columns.unpriced.items():
        is_kind = f"({columns.text('line_item_line_item_type')}) = {quote_literal(kind)}"
        yield name, is_kind, f"is missing, and rows of type {kind} need it: add it to the export's query"
    kinds = [
        (layout.money, "DECIMAL(38, 12)", "is not a number"),
        (layout.quantities, "DECIMAL(38, 12)", "is not a number"),
        (layout.days, "TIMESTAMPTZ", "is not a point in time"),
        (layout.instants, "TIMESTAMPTZ", "is not a point in time"),
        (layout.integers, "BIGINT", "is not a whole number"),
    ]
    for names, kind, what in kinds:
        for name in names:
            if columns.has(name):
                text = columns.time_text(name) if kind == "TIMESTAMPTZ" else columns.text(name)
                text = number_text(text) if kind.startswith("DECIMAL") else text
                unread = f"({text}) IS NOT NULL AND try_cast(({text}) AS {kind}) IS NULL"
                if kind.startswith("DECIMAL"):
                    is_number = f"try_cast(({text}) AS DOUBLE) IS NOT NULL AND isfinite(try_cast(({text}) AS DOUBLE))"
                    yield name, f"{unread} AND {is_number}", "has more than the 26 digits before the point that fit"
                if kind == "TIMESTAMPTZ":
                    unread = f"(({unread}) OR NOT isfinite(try_cast(({text}) AS {kind})))"
                yield name, unread, what


def _find_bad_value(con: duckdb.DuckDBPyConnection, group: Group, path: Path | None) -> LoadError | None:
    found = None
    for column, condition, what in _checks(group):
        hit = find_row(con, group, path, condition, shown=group.columns.text(column))
        if hit is not None and (found is None or hit[0] < found[0][0]):
            found = (hit, column, what)
    if found is None:
        return None
    (row_number, value), column, what = found
    return bad_value_error(group, path, row_number, column, value, what)


def bad_value_error(
    group: Group, path: Path | None, row_number: int, column: str, value: str | None, what: str
) -> LoadError:
    """The error that names file, row (and line of a CSV), column and value."""
    where = [name_of(path, group.names)] if path is not None else []
    where.append(f"row {row_number}")
    if path is not None and group.file_format == "csv":
        where.append(f"line {line_of_row(path, row_number)}")
    actual = group.shown(column)
    where.append(f"column {actual}" if actual == column else f"column {actual} ({column})")
    shown = "" if value is None else f"{value!r} "
    return LoadError(f"{shown}{what}", where=", ".join(where), cure="correct it at the source and fetch the file again")


def find_row(
    con: duckdb.DuckDBPyConnection, group: Group, path: Path | None, condition: str, *, shown: str
) -> tuple[int, str | None] | None:
    """(number of the first data row that meets `condition`, counted from 1; its `shown` text)."""
    if path is None:
        relation, row_number = group.relation, "row_number() OVER ()"
    elif group.file_format == "parquet":
        relation = render("scan/relation_parquet.sql", paths=[escape_glob(path)], numbered=True).strip()
        row_number = "file_row_number + 1"
    else:
        relation = render(
            "scan/relation_csv.sql",
            paths=[escape_glob(path)],
            null_text=list(dict.fromkeys(["", *group.null_text])),
            columns=[f"_column_{place}" for place in range(len(group.header))],
            numbered=True,
        ).strip()
        row_number = "row_number() OVER ()"
    sql = render("scan/bad_value.sql", relation=relation, row_number=row_number, condition=condition, shown=shown)
    with in_file_order(con):
        row = con.execute(sql).fetchone()
    return (int(row[0]), None if row[1] is None else str(row[1])) if row else None


@contextmanager
def in_file_order(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Rows keep the order of their file inside the block."""
    con.execute("SET preserve_insertion_order = true")
    try:
        yield
    finally:
        con.execute("SET preserve_insertion_order = false")


def _find_broken_line(group: Group, path: Path) -> LoadError | None:
    """The first record that is none: another number of fields than the header, another line end than the first
    line's, a quote that never closes, or bytes that are no text."""
    width, name = len(group.header), name_of(path, group.names)
    row_number, line = 0, 1
    what = None
    first_end: str | None = None
    try:
        with open_text(path) as handle:
            lines = _Lines(text_of(handle))
            records = csv.reader(lines, strict=True)
            for record in records:
                if row_number and record and len(record) != width:
                    what = f"{len(record)} fields, the header has {width}: the file is cut off or damaged"
                elif not is_text(record):
                    what = "the text is not UTF-8"
                elif lines.end not in ("", first_end or lines.end):
                    what = f"the line ends in {lines.end!r}, the first one in {first_end!r}".replace("'", "")
                    what += ": write all lines with one line end"
                if what is not None:
                    break
                first_end = first_end or lines.end
                row_number += bool(record) or row_number == 0
                line = records.line_num + 1
    except csv.Error as error:
        what = f"the text cannot be read ({error}): the file is cut off or damaged"
    if what is None:
        return None
    return LoadError(what, where=f"{name}, row {row_number}, line {line}", cure=FETCH_AGAIN)


class _Lines:
    """Lines of a text, and how the last one ended: '\\n', '\\r\\n', '\\r', or '' at the end of the file."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.end = ""

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.end = line[len(line.rstrip("\r\n")) :]
            yield line


def line_of_row(path: Path, row_number: int) -> int:
    """The line on which a CSV's data row begins; a quoted field may span lines."""
    with open_text(path) as handle:
        records = csv.reader(text_of(handle))
        next(records, None)
        seen = 0
        line = records.line_num + 1
        for record in records:
            seen += bool(record)
            if seen == row_number and record:
                return line
            line = records.line_num + 1
    return line
