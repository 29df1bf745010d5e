"""The SQL models: files under warehouse/models, run in the order of their references.

    warehouse/models/<schema>/<name>.sql          a header comment and one SELECT → table <schema>.<name>
    warehouse/models/<schema>/<name>.checks.sql   `-- fail: what is wrong` or `-- warn: …`, each followed
                                                  by a SELECT of the rows that are at fault

A model is materialised as a table, inside the caller's transaction. Its header becomes COMMENT ON:
the text up to a line `Columns:` for the table, then `name: text` lines for columns. A failing
`fail` check raises; `warn` checks are reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import duckdb

from warehouse.errors import CheckError, ModelError
from warehouse.statements import quote_literal, quote_name

MODELS = Path(__file__).parent / "models"
SCHEMAS = ("core", "marts", "focus", "ops")
CHECKS_SUFFIX = ".checks.sql"
SHOWN_ROWS = 3


@dataclass(frozen=True)
class Model:
    """One model file. `schema`.`name` is its table; `select` its SELECT without the header."""

    schema: str
    name: str
    path: Path
    comment: str
    column_comments: dict[str, str]
    select: str

    @property
    def table(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Check:
    """One check beside a model."""

    table: str
    level: Literal["fail", "warn"]
    text: str
    select: str


@dataclass(frozen=True)
class CheckResult:
    """What one check found. `rows`: how many rows are at fault; `shown`: the first of them, as text."""

    table: str
    level: Literal["fail", "warn"]
    text: str
    rows: int
    shown: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.rows == 0


def read_models(root: Path = MODELS, schemas: Sequence[str] = SCHEMAS) -> list[Model]:
    """Every model under `root`, by name."""
    return [
        read_model(path)
        for schema in schemas
        for path in sorted((root / schema).glob("*.sql"))
        if not path.name.endswith(CHECKS_SUFFIX)
    ]


def read_model(path: Path) -> Model:
    """Parse one model file. Raises ModelError when it has no header or no SELECT."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header: list[str] = []
    for line in lines:
        if not line.lstrip().startswith("--"):
            break
        header.append(re.sub(r"^\s*--\s?", "", line))
    select = "\n".join(lines[len(header) :]).strip().removesuffix(";").strip()
    if not any(line.strip() for line in header):
        raise ModelError("a model begins with a comment: what it is, its grain, its units", where=str(path))
    if not select:
        raise ModelError("there is no SELECT", where=str(path))
    comment, columns = _read_header(header)
    return Model(path.parent.name, path.stem, path, comment, columns, select)


def _read_header(lines: Sequence[str]) -> tuple[str, dict[str, str]]:
    try:
        split = next(place for place, line in enumerate(lines) if line.strip().lower() == "columns:")
    except StopIteration:
        return _flow(lines), {}
    columns: dict[str, str] = {}
    last = ""
    for line in lines[split + 1 :]:
        named = re.fullmatch(r"\s*([a-z_][a-z0-9_]*):\s+(.+)", line)
        if named:
            last = named.group(1)
            columns[last] = named.group(2).strip()
        elif line.strip() and last:
            columns[last] += " " + line.strip()
    return _flow(lines[:split]), columns


def _flow(lines: Sequence[str]) -> str:
    """Lines as they stand, without the blank ones around them."""
    return "\n".join(line.rstrip() for line in lines).strip()


def order_models(con: duckdb.DuckDBPyConnection, models: Sequence[Model]) -> list[Model]:
    """The models, each after those it reads. Raises ModelError for a circle."""
    by_table = {model.table: model for model in models}
    graph = {
        model.table: {table for table in referenced_tables(con, model) if table in by_table and table != model.table}
        for model in models
    }
    try:
        return [by_table[table] for table in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise ModelError(f"models read each other in a circle: {circle}") from None


_references: dict[str, frozenset[str]] = {}


def referenced_tables(con: duckdb.DuckDBPyConnection, model: Model) -> frozenset[str]:
    """The tables that a model names with their schema, as `schema.name`. Each text is parsed once per process."""
    known = _references.get(model.select)
    if known is not None:
        return known
    try:
        found = named_tables(con, model.select)
    except ValueError as error:
        raise ModelError(f"the SELECT cannot be parsed: {error}", where=str(model.path)) from None
    _references[model.select] = found
    return found


def named_tables(con: duckdb.DuckDBPyConnection, select: str) -> frozenset[str]:
    """The tables that a SELECT names with their schema, as `schema.name`. Raises ValueError for what is no SELECT."""
    return frozenset(f"{schema}.{table}" for schema, table in _walk_tables(_parse(con, select)))


def read_tables(con: duckdb.DuckDBPyConnection, select: str) -> frozenset[str] | None:
    """The tables that a SELECT reads, as `schema.name` in small letters; None where only running it would tell.

    Raises ValueError for what is no SELECT.
    """
    tree = _parse(con, select)
    if any(node.get("type") == "TABLE_FUNCTION" for node in _walk_nodes(tree)):  # query_table('core.' || 'charges')
        return None
    return frozenset(f"{schema}.{table}".casefold() for schema, table in _walk_tables(tree))


def _parse(con: duckdb.DuckDBPyConnection, select: str) -> Any:
    row = con.execute("SELECT json_serialize_sql(?)", [select]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree.get("error"):
        raise ValueError(tree.get("error_message", ""))
    return tree


def _walk_tables(tree: Any) -> Iterator[tuple[str, str]]:
    for node in _walk_nodes(tree):
        if node.get("type") == "BASE_TABLE" and node.get("schema_name"):
            yield node["schema_name"], node["table_name"]


def _walk_nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _walk_nodes(part)


def run_models(con: duckdb.DuckDBPyConnection, models: Sequence[Model]) -> None:
    """Build models, in the order given, inside the caller's transaction. Raises ModelError where one does not run."""
    for model in models:
        build_model(con, model)


def downstream(con: duckdb.DuckDBPyConnection, models: Sequence[Model], table: str) -> set[str]:
    """The tables of the models that read `table`, directly or through other models."""
    reads = {model.table: referenced_tables(con, model) for model in models}
    reached = {table}
    while more := {name for name, tables in reads.items() if tables & reached} - reached:
        reached |= more
    return reached - {table}


def run_checks(con: duckdb.DuckDBPyConnection, models: Sequence[Model]) -> list[CheckResult]:
    """Run every check beside the models. Raises CheckError with every failing `fail` check."""
    results = [run_check(con, check) for model in models for check in read_checks(model)]
    failed = [result for result in results if result.level == "fail" and not result.ok]
    if failed:
        raise CheckError("; ".join(describe_check(result) for result in failed))
    return results


def build_model(con: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Replace the model's table by its SELECT, and say in the catalogue what it is."""
    table = f"{quote_name(model.schema)}.{quote_name(model.name)}"
    try:
        con.execute(f"CREATE OR REPLACE TABLE {table} AS\n{model.select}")
        con.execute(f"COMMENT ON TABLE {table} IS {quote_literal(model.comment)}")
        columns = {row[0] for row in con.execute(f"DESCRIBE {table}").fetchall()}
        for column, text in model.column_comments.items():
            if column not in columns:
                raise ModelError(
                    f"the header describes a column {column!r} that the SELECT has not", where=str(model.path)
                )
            con.execute(f"COMMENT ON COLUMN {table}.{quote_name(column)} IS {quote_literal(text)}")
    except duckdb.Error as error:
        raise ModelError(str(error).strip(), where=f"model {model.table} ({model.path.name})") from error


def read_checks(model: Model) -> list[Check]:
    """The checks beside a model, in the file's order."""
    path = model.path.with_name(model.path.stem + CHECKS_SUFFIX)
    if not path.is_file():
        return []
    checks = []
    level: Literal["fail", "warn"] | None = None
    text, body = "", list[str]()
    for line in [*path.read_text(encoding="utf-8").splitlines(), "-- warn: end"]:
        marker = re.match(r"\s*--\s*(fail|warn):\s*(.+)", line)
        if not marker:
            if level is None and line.strip() and not line.lstrip().startswith("--"):
                raise ModelError("SQL stands before the first `-- fail:` or `-- warn:`", where=str(path))
            body.append(line)
            continue
        select = "\n".join(body).strip().removesuffix(";").strip()
        if level is not None:
            if not select:
                raise ModelError(f"the check {text!r} has no SELECT", where=str(path))
            checks.append(Check(model.table, level, text, select))
        level, text, body = ("fail" if marker.group(1) == "fail" else "warn"), marker.group(2).strip(), []
    return checks


def run_check(con: duckdb.DuckDBPyConnection, check: Check) -> CheckResult:
    """Run one check; its rows are what is at fault."""
    try:
        cursor = con.execute(check.select)
        names = [column[0] for column in cursor.description or []]
        rows = cursor.fetchmany(SHOWN_ROWS)
        shown = tuple(", ".join(f"{name} {cell}" for name, cell in zip(names, row, strict=True)) for row in rows)
        count = len(rows)
        while more := cursor.fetchmany(10_000):
            count += len(more)
    except duckdb.Error as error:
        raise ModelError(str(error).strip(), where=f"check of {check.table}: {check.text}") from error
    return CheckResult(check.table, check.level, check.text, count, shown)


def describe_check(result: CheckResult) -> str:
    """One line for a person."""
    shown = f" ({'; '.join(result.shown)}{'; …' if result.rows > len(result.shown) else ''})" if result.shown else ""
    return f"{result.table}: {result.text}: {result.rows} row{'s' if result.rows != 1 else ''}{shown}"
