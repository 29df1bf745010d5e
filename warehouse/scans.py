"""What a delivery's parts hold, as SQL: files scanned in place, or Arrow rows, each cast column by column.

A file is never copied row by row: the SELECT that stands here is what the load aggregates. Files of
one scan are taken together only where their columns and types agree; a reader that unites an
integer and a decimal column by the first file's type turns 1.5 into 2.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import duckdb
import pyarrow as pa

from warehouse.errors import LoadError
from warehouse.statements import quote_literal, quote_name, render

READ_BYTES = 1 << 20
_FETCH_AGAIN = "fetch or export the file again"


@runtime_checkable
class RowsLike(Protocol):
    """Typed rows in memory."""

    @property
    def layout(self) -> str: ...
    @property
    def table(self) -> pa.Table: ...


@runtime_checkable
class FileScanLike(Protocol):
    """Files to be scanned in place. `columns`: canonical name → name in the files."""

    @property
    def layout(self) -> str: ...
    @property
    def file_format(self) -> str: ...
    @property
    def files(self) -> tuple[Path, ...]: ...
    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def null_text(self) -> tuple[str, ...]: ...
    @property
    def constants(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Layout:
    """How one kind of rows is read. `holds`: charges | metered_usage | calls.

    `required` columns must be in every file; `never_null` ones must have a value in every row.
    `money`, `quantities`, `days`, `instants`: canonical columns whose text or number must be readable.
    """

    name: str
    holds: str
    required: tuple[str, ...]
    never_null: tuple[str, ...]
    # billed, effective and list cost: the canonical columns, in this order
    money: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    instants: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    currency: str | None = None


_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "focus",
            "charges",
            required=("BilledCost", "EffectiveCost", "BillingCurrency", "ChargePeriodStart", "BillingPeriodStart"),
            never_null=("ChargePeriodStart", "BillingCurrency", "BilledCost", "EffectiveCost"),
            money=("BilledCost", "EffectiveCost", "ListCost"),
            quantities=("ConsumedQuantity", "PricingQuantity"),
            days=("ChargePeriodStart", "BillingPeriodStart"),
            currency="BillingCurrency",
        ),
        Layout(
            "charges",
            "charges",
            required=("charge_date", "billed_cost", "effective_cost", "billing_currency", "basis"),
            never_null=("charge_date", "billing_currency", "billed_cost", "effective_cost", "basis"),
            money=("billed_cost", "effective_cost", "list_cost"),
            quantities=("consumed_quantity",),
            days=("charge_date", "billing_period_start"),
            currency="billing_currency",
        ),
        Layout(
            "metered_usage",
            "metered_usage",
            required=("usage_date",),
            never_null=("usage_date",),
            days=("usage_date",),
            integers=("requests", *_TOKENS),
        ),
        Layout(
            "calls",
            "calls",
            required=("called_at",),
            never_null=("called_at",),
            instants=("called_at",),
            integers=("attempt", *_TOKENS, "tool_calls", "latency_ms"),
        ),
    )
}


Names = Mapping[Path, str]  # landed path → the payload's own name, which is the one a person knows


def name_of(path: Path, names: Names) -> str:
    return names.get(path, path.name)


@dataclass(frozen=True)
class Facts:
    """What the files' footers say of a column, over all of their rows."""

    is_null: bool = False  # in every row
    has_nulls: bool = True
    constant: str | None = None  # the text of the one value that stands in every row
    largest: float | None = None  # the largest absolute number


UNKNOWN = Facts()


class Columns:
    """The canonical columns of one group of files, as SQL expressions. Used inside the layout templates.

    `found`: canonical name → (SQL identifier, DuckDB type). A column that is not there is null. A
    column that is the same in every row is written as that value: it need not be read.
    """

    def __init__(
        self,
        found: Mapping[str, tuple[str, str]],
        constants: Mapping[str, str],
        facts: Mapping[str, Facts] | None = None,
    ) -> None:
        self._found = found
        self._constants = constants
        self._facts = facts or {}

    def facts(self, name: str) -> Facts:
        """What is known of a column without reading it."""
        if name in self._constants and name not in self._found:
            return Facts(has_nulls=False, constant=self._constants[name])
        return self._facts.get(name, UNKNOWN)

    def identifier(self, name: str) -> str:
        """The column's name in the files."""
        return self._found.get(name, (name, ""))[0]

    def has(self, name: str) -> bool:
        return name in self._found or name in self._constants

    def raw(self, name: str) -> tuple[str, str]:
        """(expression, DuckDB type) of the column as it stands in the file."""
        known = self.facts(name)
        if known.is_null:
            return "NULL", "NULL"
        if known.constant is not None:
            return quote_literal(known.constant), "VARCHAR"
        if name in self._found:
            return self._found[name]
        return "NULL", "NULL"

    def text(self, name: str) -> str:
        expression, kind = self.raw(name)
        if kind == "VARCHAR":
            return f"nullif({expression}, '')"
        return f"{expression}::VARCHAR"

    def first_text(self, *names: str) -> str:
        present = [self.text(name) for name in names if self.has(name)]
        return f"coalesce({', '.join(present)})" if len(present) > 1 else (present or ["NULL::VARCHAR"])[0]

    def money(self, name: str) -> str:
        """Exact: sums of the result do not depend on the order of rows."""
        expression, kind = self.raw(name)
        largest = self.facts(name).largest
        return money_of(expression, kind, is_small=largest is not None and largest < SMALL_DOUBLE)

    def quantity(self, name: str) -> str:
        return self.money(name)

    def instant(self, name: str) -> str:
        # Text without a zone, and timestamps without one, are UTC: the session's zone is UTC.
        return f"({self.time_text(name)})::TIMESTAMPTZ" if self.raw(name)[1] == "VARCHAR" else f"{self.raw(name)[0]}::TIMESTAMPTZ"

    def time_text(self, name: str) -> str:
        """The text of a point in time, as DuckDB reads it: with seconds, which Azure leaves out (2026-01-05T23:00Z)."""
        text = self.text(name)
        if self.raw(name)[1] != "VARCHAR":
            return text
        return f"CASE WHEN length({text}) = 17 AND suffix({text}, 'Z') THEN left({text}, 16) || ':00Z' ELSE {text} END"

    def day(self, name: str) -> str:
        expression, kind = self.raw(name)
        if kind in ("DATE", "NULL") or kind.startswith("TIMESTAMP"):
            return f"{expression}::DATE"
        return f"({self.instant(name)})::DATE"

    def cast(self, name: str, kind: str) -> str:
        expression, found = self.raw(name)
        return f"nullif({expression}, '')::{kind}" if found == "VARCHAR" else f"{expression}::{kind}"

    def tags(self, name: str) -> str:
        """Tags as they stand: grouping by the raw text, and reading it afterwards, is four times faster."""
        expression, kind = self.raw(name)
        if kind == "VARCHAR":
            return f"nullif({expression}, '')"
        if kind == "NULL":
            return "NULL::VARCHAR"
        # A MAP and a STRUCT become an object; a list of pairs a list, which warehouse.tags reads.
        return f"to_json({expression})::VARCHAR"


# double::DECIMAL(38, 12) multiplies in binary, which is exact below 2^53 / 10^12 (about 9,007) only;
# above that the shortest text of the double is the amount that was written.
SMALL_DOUBLE = 4000


def money_of(expression: str, kind: str, *, is_small: bool = False) -> str:
    """`expression` of DuckDB type `kind` as a decimal with up to 12 places, cast row by row and exactly.

    `is_small`: a double that is known to be below SMALL_DOUBLE; its cast fits 64 bits, and its sums are faster.
    """
    if kind == "VARCHAR":
        return f"nullif({expression}, '')::DECIMAL(38, 12)"
    if kind == "DOUBLE" and is_small:
        return f"{expression}::DECIMAL(16, 12)"
    if kind == "DOUBLE":
        return (
            f"CASE WHEN abs({expression}) < {SMALL_DOUBLE} THEN {expression}::DECIMAL(38, 12) "
            f"ELSE {expression}::VARCHAR::DECIMAL(38, 12) END"
        )
    if kind == "FLOAT":
        return f"{expression}::VARCHAR::DECIMAL(38, 12)"
    native = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", kind)
    if native and int(native.group(2)) <= 12:
        return expression  # its sums are exact as it is
    return f"{expression}::DECIMAL(38, 12)"


@dataclass(frozen=True)
class Group:
    """Files (or one Arrow table) that one SELECT can read. `relation` is SQL for FROM."""

    layout: Layout
    relation: str
    columns: Columns
    files: tuple[Path, ...]
    file_format: str
    null_text: tuple[str, ...]
    names: Names
    header: tuple[str, ...] = ()

    def select(self) -> str:
        """The SELECT that casts this group's columns to the layout's staged ones."""
        return render(f"scan/{self.layout.name}.sql", c=self.columns, relation=self.relation)


class Scan:
    """The parts of a delivery that hold one kind of rows, as one SELECT."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)

    @property
    def layouts(self) -> set[str]:
        return {group.layout.name for group in self.groups}

    def select(self) -> str:
        return "\nUNION ALL BY NAME\n".join(group.select() for group in self.groups)

    def has_no_nulls(self, name: str) -> bool:
        """Whether the footers say that a canonical column has a value in every row."""
        return all(not group.columns.facts(name).has_nulls for group in self.groups)

    def parquet_rows(self, con: duckdb.DuckDBPyConnection) -> int | None:
        """Rows by the files' own footers; None where a part has no footer."""
        if any(group.file_format != "parquet" for group in self.groups):
            return None
        paths = [str(path) for group in self.groups for path in group.files]
        row = con.execute(
            "SELECT coalesce(sum(num_rows), 0)::BIGINT FROM parquet_file_metadata(?)", [[escape_glob(p) for p in paths]]
        ).fetchone()
        return int(row[0]) if row else 0


def escape_glob(path: object) -> str:
    """A path as DuckDB's readers take it literally: they read `*`, `?` and `[` as a pattern."""
    return "".join({"*": "[*]", "?": "[?]", "[": "[[]"}.get(letter, letter) for letter in str(path))


def open_scans(
    con: duckdb.DuckDBPyConnection, parts: Iterable[RowsLike | FileScanLike], *, names: Names, registered: list[str]
) -> dict[str, Scan]:
    """What the parts hold → a Scan. Arrow tables are registered under names that are added to `registered`.

    Raises LoadError for a file that is empty, damaged, or lacks a column that it must have.
    """
    groups: dict[str, list[Group]] = {}
    for part in parts:
        layout = LAYOUTS.get(part.layout)
        if layout is None:
            raise LoadError(f"no layout is called {part.layout!r}", cure=f"use one of {', '.join(sorted(LAYOUTS))}")
        found = groups.setdefault(layout.holds, [])
        if isinstance(part, RowsLike):
            name = f"_rows_{len(registered)}"
            con.register(name, part.table)
            registered.append(name)
            found.append(_rows_group(con, layout, name))
        elif part.file_format == "csv":
            found.extend(_csv_groups(layout, part, names))
        else:
            found.extend(_parquet_groups(con, layout, part, names))
    return {holds: Scan(found) for holds, found in groups.items()}


def _rows_group(con: duckdb.DuckDBPyConnection, layout: Layout, name: str) -> Group:
    columns = {row[0]: (quote_name(row[0]), _plain_type(row[1])) for row in _describe(con, name)}
    missing = [column for column in layout.required if column not in columns]
    if missing:
        raise LoadError(f"rows of layout {layout.name!r} lack {', '.join(missing)}")
    return Group(layout, name, Columns(columns, {}), (), "rows", (), {})


def _csv_groups(layout: Layout, scan: FileScanLike, names: Names) -> Iterator[Group]:
    by_header: dict[tuple[str, ...], list[Path]] = {}
    for path in scan.files:
        by_header.setdefault(read_csv_header(path, names), []).append(path)
    for header, paths in by_header.items():
        places = {name: place for place, name in reversed(list(enumerate(header)))}
        found = {
            canonical: (f"_column_{places[actual]}", "VARCHAR")
            for canonical, actual in scan.columns.items()
            if actual in places
        }
        _check_required(layout, scan, found, name_of(paths[0], names))
        relation = render(
            "scan/relation_csv.sql",
            paths=[escape_glob(path) for path in paths],
            null_text=list(dict.fromkeys(["", *scan.null_text])),
            columns=[f"_column_{place}" for place in range(len(header))],
            numbered=False,
        ).strip()
        yield Group(
            layout, relation, Columns(found, scan.constants), tuple(paths), "csv", tuple(scan.null_text), names, header
        )


def _parquet_groups(
    con: duckdb.DuckDBPyConnection, layout: Layout, scan: FileScanLike, names: Names
) -> Iterator[Group]:
    by_types: dict[tuple[tuple[str, tuple[str, str]], ...], list[Path]] = {}
    for path in scan.files:
        types = _parquet_types(con, path, names)
        found = {
            canonical: (quote_name(actual), types[actual])
            for canonical, actual in scan.columns.items()
            if actual in types
        }
        _check_required(layout, scan, found, name_of(path, names))
        _check_precision(con, layout, found, path, names)
        by_types.setdefault(tuple(sorted(found.items())), []).append(path)
    for signature, paths in by_types.items():
        relation = render(
            "scan/relation_parquet.sql", paths=[escape_glob(path) for path in paths], numbered=False
        ).strip()
        columns = Columns(dict(signature), scan.constants, _read_facts(con, dict(signature), paths))
        yield Group(layout, relation, columns, tuple(paths), "parquet", (), names)


def _check_precision(
    con: duckdb.DuckDBPyConnection, layout: Layout, found: Mapping[str, tuple[str, str]], path: Path, names: Names
) -> None:
    """Refuse decimals of more than 38 digits: DuckDB 1.5 takes their bytes for another number."""
    amounts = {found[name][0] for name in (*layout.money, *layout.quantities) if found.get(name, ("", ""))[1] == "DOUBLE"}
    if not amounts:
        return
    for column, precision in con.execute(
        "SELECT name, precision FROM parquet_schema(?) WHERE precision > 38", [escape_glob(path)]
    ).fetchall():
        if quote_name(column) in amounts:
            raise LoadError(
                f"the column is a decimal of {precision} digits, and 38 is the most that can be read exactly",
                where=f"{name_of(path, names)}, column {column}",
                cure="export it as a decimal of up to 38 digits, or as text",
            )


def _read_facts(
    con: duckdb.DuckDBPyConnection, found: Mapping[str, tuple[str, str]], paths: Sequence[Path]
) -> dict[str, Facts]:
    """What the statistics in the files' footers say; nothing of columns without statistics."""
    canonical = {identifier: name for name, (identifier, _) in found.items()}
    facts = {}
    for column, is_null, has_nulls, constant, largest in con.execute(
        render("scan/column_facts.sql"), {"paths": [escape_glob(path) for path in paths]}
    ).fetchall():
        name = canonical.get(quote_name(column))
        if name is None:
            continue
        kind = found[name][1]
        # Numbers are never written as a text: 0.1 in a footer is not always the 0.1 of the column.
        is_plain = kind in ("VARCHAR", "DATE") or kind.startswith("TIMESTAMP")
        facts[name] = Facts(is_null, has_nulls, constant if is_plain else None, largest if kind == "DOUBLE" else None)
    return facts


def _check_required(layout: Layout, scan: FileScanLike, found: Mapping[str, tuple[str, str]], where: str) -> None:
    for column in layout.required:
        if column not in found and column not in scan.constants:
            named = scan.columns.get(column, column)
            raise LoadError(
                f"the column {named!r} is missing"
                if named == column
                else f"the column {named!r}, read as {column}, is missing",
                where=where,
                cure="export the file again with it",
            )


def _parquet_types(con: duckdb.DuckDBPyConnection, path: Path, names: Names) -> dict[str, str]:
    _check_not_empty(path, names)
    relation = render("scan/relation_parquet.sql", paths=[escape_glob(path)], numbered=False).strip()
    try:
        return {row[0]: _plain_type(row[1]) for row in _describe(con, relation)}
    except duckdb.Error as error:
        raise LoadError(
            f"the Parquet file is cut off or damaged: {_first_line(error)}",
            where=name_of(path, names),
            cure=_FETCH_AGAIN,
        ) from error


def _describe(con: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[Any, ...]]:
    return con.execute("DESCRIBE FROM " + relation).fetchall()


def _plain_type(kind: str) -> str:
    """DuckDB's name of a type; JSON and ENUM columns are text."""
    return "VARCHAR" if kind == "JSON" or kind.startswith("ENUM") else kind


def _check_not_empty(path: Path, names: Names) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise LoadError("the file is not there", where=name_of(path, names), cure=_FETCH_AGAIN) from error
    if size == 0:
        raise LoadError("the file is empty (0 bytes)", where=name_of(path, names), cure=_FETCH_AGAIN)


def open_text(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The file's bytes, unpacked where its name says it is packed."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _text_of(handle: IO[bytes] | gzip.GzipFile) -> io.TextIOWrapper:
    """UTF-8 text; bytes that are none become surrogates, so that the row they stand in can be named."""
    return io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _is_text(record: Sequence[str]) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for field in record for letter in field)


def read_csv_header(path: Path, names: Names) -> tuple[str, ...]:
    """The column names of a CSV; reads a packed file to its end, for a reader takes a cut one for a short one."""
    _check_not_empty(path, names)
    where = name_of(path, names)
    try:
        with open_text(path) as handle:
            text = _text_of(handle)
            header = tuple(name.strip() for name in next(csv.reader(text), []))
            text.detach()
            if path.suffix == ".gz":
                while handle.read(READ_BYTES):
                    pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LoadError("the gzip file is cut off or damaged", where=where, cure=_FETCH_AGAIN) from error
    except csv.Error as error:
        raise LoadError(f"the first line cannot be read: {error}", where=where, cure=_FETCH_AGAIN) from error
    if not any(header) or not _is_text(header):
        raise LoadError("the first line holds no column names in UTF-8", where=where, cure=_FETCH_AGAIN)
    return header


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


def _checks(group: Group) -> Iterator[tuple[str, str, str]]:
    """(canonical column, SQL condition of a bad value, what is wrong with it)."""
    layout, columns = group.layout, group.columns
    for name in layout.never_null:
        yield name, f"({columns.text(name)}) IS NULL", "is empty"
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
                yield name, f"({text}) IS NOT NULL AND try_cast(({text}) AS {kind}) IS NULL", what


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
    actual = group.columns.identifier(column).strip('"')
    if group.header and actual.startswith("_column_"):
        actual = group.header[int(actual.removeprefix("_column_"))]
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
    """A record with another number of fields than the header, a quote that never closes, or bytes that are no text."""
    width, name = len(group.header), name_of(path, group.names)
    row_number, line = 0, 1
    what = None
    try:
        with open_text(path) as handle:
            records = csv.reader(_text_of(handle), strict=True)
            for record in records:
                if row_number and record and len(record) != width:
                    what = f"{len(record)} fields, the header has {width}: the file is cut off or damaged"
                elif not _is_text(record):
                    what = "the text is not UTF-8"
                if what is not None:
                    break
                row_number += bool(record) or row_number == 0
                line = records.line_num + 1
    except csv.Error as error:
        what = f"the text cannot be read ({error}): the file is cut off or damaged"
    if what is None:
        return None
    return LoadError(what, where=f"{name}, row {row_number}, line {line}", cure=_FETCH_AGAIN)


def line_of_row(path: Path, row_number: int) -> int:
    """The line on which a CSV's data row begins; a quoted field may span lines."""
    with open_text(path) as handle:
        records = csv.reader(_text_of(handle))
        next(records, None)
        seen = 0
        line = records.line_num + 1
        for record in records:
            seen += bool(record)
            if seen == row_number and record:
                return line
            line = records.line_num + 1
    return line


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
