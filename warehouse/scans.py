"""What a delivery's parts hold, as SQL: files scanned in place, or Arrow rows, each cast column by column.

A file is never copied row by row: the SELECT that stands here is what the load aggregates. Files of
one scan are taken together only where their columns and types agree; a reader that unites an
integer and a decimal column by the first file's type turns 1.5 into 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import duckdb
import pyarrow as pa

from warehouse.columns import Columns, Facts
from warehouse.csv_files import FETCH_AGAIN, Names, check_not_empty, name_of, read_csv_header
from warehouse.errors import LoadError
from warehouse.layouts import CUR_AMORTISED, LAYOUTS, Layout
from warehouse.statements import quote_name, render

AMOUNTS = ("billed_cost", "effective_cost", "list_cost", "consumed_quantity")
_DAYS = {"charges": "charge_date", "metered_usage": "usage_date"}


@runtime_checkable
class RowsLike(Protocol):
    """Typed rows in memory. `untold`: kinds of metered usage that they do not speak of."""

    @property
    def layout(self) -> str: ...
    @property
    def table(self) -> pa.Table: ...
    @property
    def untold(self) -> tuple[str, ...]: ...


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

    def shown(self, name: str) -> str:
        """What the file itself calls a canonical column."""
        actual = self.columns.identifier(name).strip('"')
        if self.header and actual.startswith("_column_"):
            actual = self.header[int(actual.removeprefix("_column_"))]
        return actual

    def select(self) -> str:
        """The SELECT that casts this group's columns to the layout's staged ones."""
        template = self.layout.template or self.layout.name
        units = {name: self.columns.units(column) for name, column in self.small_amounts().items()}
        return render(f"scan/{template}.sql", c=self.columns, relation=self.relation, units=units)

    def small_amounts(self) -> dict[str, str]:
        """Staged amount → canonical column, of those that Columns.units can add up."""
        quantity = next((name for name in self.layout.quantities if self.columns.has(name)), None)
        amounts = (*self.layout.amounts, quantity)
        return {
            name: column
            for name, column in zip(AMOUNTS, amounts, strict=True)
            if column is not None and self.columns.is_small(column)
        }


class Scan:
    """The parts of a delivery that hold one kind of rows, as one SELECT."""

    def __init__(self, groups: Sequence[Group], *, since: date | None = None, until: date | None = None) -> None:
        self.groups = tuple(groups)
        self.since, self.until = since, until

    @property
    def layouts(self) -> set[str]:
        return {group.layout.name for group in self.groups}

    def select(self) -> str:
        """One SELECT over all groups, of the days that count."""
        rows = "\nUNION ALL BY NAME\n".join(group.select() for group in self.groups)
        day = _DAYS.get(self.groups[0].layout.holds) if self.groups else None
        if day is None or not self._is_bounded:
            return rows
        return render("terms/bounded.sql", scan=rows, day=day, since=self.since, until=self.until)

    @property
    def _is_bounded(self) -> bool:
        return self.since is not None or self.until is not None

    def where(self) -> str:
        """The files, as errors name them."""
        return ", ".join(name_of(path, group.names) for group in self.groups for path in group.files[:3])

    def constant_columns(self, con: duckdb.DuckDBPyConnection) -> set[str]:
        """The staged columns that are the same in every row, known without reading one."""
        if len(self.groups) != 1:
            return set()
        row = con.execute("SELECT json_serialize_sql(?)", [self.groups[0].select()]).fetchone()
        tree = json.loads(row[0]) if row else {}
        if not tree.get("statements"):
            return set()
        listed = tree["statements"][0]["node"]["select_list"]
        return {expression["alias"] for expression in listed if not _reads_a_column(expression)}

    def small_amounts(self) -> set[str]:
        """The staged amounts that are there in 1e-12 besides, as <name>_units, in every group."""
        return set.intersection(*(set(group.small_amounts()) for group in self.groups)) if self.groups else set()

    def has_no_nulls(self, name: str) -> bool:
        """Whether the footers say that a canonical column has a value in every row."""
        return all(not group.columns.facts(name).has_nulls for group in self.groups)

    def parquet_rows(self, con: duckdb.DuckDBPyConnection) -> int | None:
        """Rows by the files' own footers; None where a part has no footer."""
        if self._is_bounded or any(
            group.file_format != "parquet" or group.layout.leaves_rows_out for group in self.groups
        ):
            return None
        paths = [str(path) for group in self.groups for path in group.files]
        row = con.execute(
            "SELECT coalesce(sum(num_rows), 0)::BIGINT FROM parquet_file_metadata(?)", [[escape_glob(p) for p in paths]]
        ).fetchone()
        return int(row[0]) if row else 0


def _reads_a_column(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("class") == "COLUMN_REF" or any(_reads_a_column(part) for part in node.values())
    return isinstance(node, list) and any(_reads_a_column(part) for part in node)


def escape_glob(path: object) -> str:
    """A path as DuckDB's readers take it literally: they read `*`, `?` and `[` as a pattern."""
    return "".join({"*": "[*]", "?": "[?]", "[": "[[]"}.get(letter, letter) for letter in str(path))


def open_scans(
    con: duckdb.DuckDBPyConnection,
    parts: Iterable[RowsLike | FileScanLike],
    *,
    names: Names,
    registered: list[str],
    tag_keys: tuple[str, ...] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> dict[str, Scan]:
    """What the parts hold → a Scan. Arrow tables are registered under names that are added to `registered`.

    `names`: landed path → the payload's own name. `tag_keys`: the tags of files to keep; None keeps all.
    `since`, `until`: charges and metered usage before the one, or not before the other, are left out.

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
            found.extend(_csv_groups(layout, part, names, tag_keys))
        else:
            found.extend(_parquet_groups(con, layout, part, names, tag_keys))
    for found in groups.values():
        _mark_unpriced(found)
    return {holds: Scan(found, since=since, until=until) for holds, found in groups.items()}


def _mark_unpriced(groups: Sequence[Group]) -> None:
    """Where no file of a CUR has a column that tells what a commitment costs: in one that only lacks it, it is null."""
    reports = [group for group in groups if group.layout.template == "cur"]
    lacking = {
        kind: missing
        for kind, names in CUR_AMORTISED.items()
        if (missing := next((name for name in names if not any(group.columns.has(name) for group in reports)), None))
    }
    for group in reports:
        group.columns.unpriced = lacking


def _rows_group(con: duckdb.DuckDBPyConnection, layout: Layout, name: str) -> Group:
    columns = {row[0]: (quote_name(row[0]), _plain_type(row[1])) for row in _describe(con, name)}
    missing = [column for column in layout.required if column not in columns]
    if missing:
        raise LoadError(f"rows of layout {layout.name!r} lack {', '.join(missing)}")
    return Group(layout, name, Columns(columns, {}), (), "rows", (), {})


def _csv_groups(layout: Layout, scan: FileScanLike, names: Names, tag_keys: tuple[str, ...] | None) -> Iterator[Group]:
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
            layout,
            relation,
            Columns(found, scan.constants, tag_keys=tag_keys),
            tuple(paths),
            "csv",
            tuple(scan.null_text),
            names,
            header,
        )


def _parquet_groups(
    con: duckdb.DuckDBPyConnection,
    layout: Layout,
    scan: FileScanLike,
    names: Names,
    tag_keys: tuple[str, ...] | None,
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
        facts = _read_facts(con, dict(signature), paths)
        columns = Columns(dict(signature), scan.constants, facts, tag_keys)
        yield Group(layout, relation, columns, tuple(paths), "parquet", (), names)


def _check_precision(
    con: duckdb.DuckDBPyConnection, layout: Layout, found: Mapping[str, tuple[str, str]], path: Path, names: Names
) -> None:
    """Refuse decimals of more than 38 digits: DuckDB 1.5 takes their bytes for another number."""
    amounts = {
        found[name][0] for name in (*layout.money, *layout.quantities) if found.get(name, ("", ""))[1] == "DOUBLE"
    }
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
    try:
        told = con.execute(render("scan/column_facts.sql"), {"paths": [escape_glob(path) for path in paths]}).fetchall()
    except duckdb.InvalidInputException:  # a damaged name or text: the rows are read all the same
        told = []
    for column, is_null, has_nulls, has_blanks, constant, largest in told:
        name = canonical.get(quote_name(column))
        if name is None:
            continue
        kind = found[name][1]
        # Numbers are never written as a text: 0.1 in a footer is not always the 0.1 of the column.
        is_plain = kind in ("VARCHAR", "DATE") or kind.startswith("TIMESTAMP")
        facts[name] = Facts(
            is_null, has_nulls, has_blanks, constant if is_plain else None, largest if kind == "DOUBLE" else None
        )
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
    check_not_empty(path, names)
    relation = render("scan/relation_parquet.sql", paths=[escape_glob(path)], numbered=False).strip()
    try:
        return {row[0]: _plain_type(row[1]) for row in _describe(con, relation)}
    except duckdb.Error as error:
        raise LoadError(
            f"the Parquet file is cut off or damaged: {_first_line(error)}",
            where=name_of(path, names),
            cure=FETCH_AGAIN,
        ) from error


def _describe(con: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[Any, ...]]:
    return con.execute("DESCRIBE FROM " + relation).fetchall()


def _plain_type(kind: str) -> str:
    """DuckDB's name of a type; ENUM columns are text."""
    return "VARCHAR" if kind.startswith("ENUM") else kind


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
