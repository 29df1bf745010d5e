"""Ad hoc SQL on the published snapshot: read-only, bounded, and in a process of its own.

The statement can read no file and no network, write nothing, use no more memory than it is given, and
is stopped when its time is over. It works while a run is writing: the snapshot is not the writer's file.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["table", "csv", "json", "parquet", "markdown"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json", "parquet", "markdown")
QUERIES = Path(__file__).parent / "queries"
WORKER = Path(__file__).with_name("query_worker.py")
TRUNCATED = b"trendbreak.truncated"  # key of the schema's metadata: more rows exist than max_rows
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class QueryError(WarehouseError):
    """The query cannot run, or was stopped; the text says why and what to do."""


def run_query(
    published: Path,
    sql: str,
    *,
    timeout_seconds: float = 30,
    memory_limit: str = "512MB",
    max_rows: int | None = None,
    unsafe: bool = False,
    is_canned: bool = False,
) -> pa.Table:
    """The result of one SELECT (or DESCRIBE, SHOW, SUMMARIZE, EXPLAIN) on the snapshot.

    With `max_rows`, at most so many rows; `is_truncated(table)` tells whether more exist. `unsafe` lifts
    the limits on memory, files and network, for the owner of the machine. `is_canned`: the statement is this
    version's own, so that a snapshot without its columns is another version's. Raises QueryError.
    """
    import pyarrow.ipc as ipc

    if not published.is_file():
        raise QueryError("nothing is published yet", where=str(published), cure="`trendbreak run` publishes")
    request = {
        "path": str(published),
        "sql": sql,
        "memory_limit": memory_limit,
        "memory_bytes": _bytes_of(memory_limit),
        "max_rows": max_rows,
        "unsafe": unsafe,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(WORKER)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
            env=None if unsafe else {"TZ": "UTC"},  # no secret of the caller's environment
        )
    except subprocess.TimeoutExpired:
        raise QueryError(
            f"stopped after {timeout_seconds:g} s", cure="narrow it by date or feature, or allow more with --timeout"
        ) from None
    if done.returncode != 0:
        raise _explained(done.stderr, done.returncode, memory_limit, published if is_canned else None)
    table = ipc.open_stream(done.stdout).read_all()
    if max_rows is not None and table.num_rows > max_rows:
        table = table.slice(0, max_rows).replace_schema_metadata({TRUNCATED: b"true"})
    return table


def of_another_version(published: Path, text: str) -> QueryError:
    """What a snapshot is told that does not have what this version reads. `text`: of DuckDB's error."""
    return QueryError(
        f"another version published it ({text.splitlines()[0]})",
        where=str(published),
        cure="`trendbreak run` publishes anew",
    )


def is_truncated(table: pa.Table) -> bool:
    """Whether run_query left rows out for its max_rows."""
    return TRUNCATED in (table.schema.metadata or {})


def canned() -> dict[str, tuple[str, str]]:
    """The canned queries: name → (one-line description, SQL), by name."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(QUERIES.glob("*.sql")):
        sql = path.read_text(encoding="utf-8")
        found[path.stem] = (sql.splitlines()[0].removeprefix("--").strip(), sql)
    return found


def format_table(table: pa.Table, fmt: Format | str) -> str | bytes:
    """The table as text, or for parquet as bytes.

    csv: RFC 4180 with a header, null as nothing. json: a list of objects; decimals and integers are
    JSON numbers with every digit (read them with parse_float=Decimal to keep them), dates and instants
    ISO 8601 texts, NaN and infinities null. table and markdown are for people: trailing
    zeros of decimals are dropped beyond cents, control characters are shown as escapes.
    """
    if fmt == "csv":
        return _csv(table)
    if fmt == "json":
        return _json(table)
    if fmt == "parquet":
        return _parquet(table)
    if fmt == "markdown":
        return _markdown(table)
    if fmt == "table":
        return _plain_table(table)
    raise QueryError(f"unknown format {fmt!r}", cure=f"use one of {', '.join(FORMATS)}")


def _bytes_of(size: str) -> int:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMG]i?B|B)\s*", size, re.IGNORECASE)
    if match is None:
        raise QueryError(f"memory limit {size!r} is not a size", cure="write for example 512MB or 2GB")
    return int(float(match[1]) * _SIZES[match[2].upper()])


def _explained(stderr: bytes, code: int, memory_limit: str, canned_on: Path | None) -> QueryError:
    """DuckDB's error in the words of someone who asked for a table. `canned_on`: the snapshot that a canned query
    asked."""
    memory = QueryError(
        f"needs more than {memory_limit} of memory", cure="select fewer columns or days, or aggregate first"
    )
    try:
        error = json.loads(stderr)
        kind, text, tables = error["kind"], error["text"], error["tables"]
    except (ValueError, KeyError, TypeError):
        if code < 0 or b"MemoryError" in stderr or b"bad_alloc" in stderr:
            return memory
        lines = stderr.decode(errors="replace").strip().splitlines()
        return QueryError(f"the query process ended with {code}: {lines[-1] if lines else 'without a word'}")
    text = text.strip()
    if kind == "MemoryError" or kind == "OutOfMemoryException" or "bad_alloc" in text or "realloc of size" in text:
        return memory
    if kind == "Statement":
        return QueryError(text, cure="write one SELECT")
    if canned_on is not None and kind in ("BinderException", "CatalogException"):
        return of_another_version(canned_on, text)
    missing = re.search(r'(?:Table|View|Schema) with name "?([^"\s!]+)"? does not exist', text)
    if kind == "CatalogException" and missing:
        return _missing_table(missing[1], text, tables)
    if (
        kind in ("PermissionException", "InvalidInputException")
        and re.search(r"disabled|external access|read-only|locked|not allowed", text)
    ) or (kind == "BinderException" and "base table" in text):  # DELETE, UPDATE and INSERT of a view
        return QueryError(
            f"not allowed here: {text.splitlines()[0].split(': ', 1)[-1]}",
            cure="queries read the published snapshot and nothing else (the owner may lift this with --unsafe)",
        )
    return QueryError(text.split(": ", 1)[-1] if text.split(": ", 1)[0].endswith("Error") else text)


def _missing_table(name: str, text: str, tables: Sequence[str]) -> QueryError:
    line = re.search(r"LINE \d+: (.*)", text)
    promised = [table for table in tables if table.split(".")[0] in ("marts", "focus")]
    pool = {table: table for table in tables} | {table.split(".")[1]: table for table in [*tables, *promised]}
    near = difflib.get_close_matches(name, list(pool), n=1, cutoff=0.5)
    hint = f"; did you mean {pool[near[0]]}?" if near else ""
    written = re.search(rf"(?:\w+\.)?{re.escape(name)}", line[1]) if line else None
    shown = written[0] if written else name
    return QueryError(f"table {shown} does not exist{hint}", cure="see `trendbreak query --list`")


# Formats


def _csv(table: pa.Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in _rows(table):
        writer.writerow(["" if value is None else _exact(value) for value in row])
    return out.getvalue()


def _json(table: pa.Table) -> str:
    names = [json.dumps(name, ensure_ascii=False) for name in _unique(table.column_names)]
    lines = [
        "{" + ", ".join(f"{name}: {_json_of(value)}" for name, value in zip(names, row, strict=True)) + "}"
        for row in _rows(table)
    ]
    return "[" + ",\n ".join(lines) + "]\n"


def _unique(names: Sequence[str]) -> list[str]:
    """`x`, `x`, `x` as `x`, `x_1`, `x_2`: of two keys of one name a reader keeps one."""
    found: list[str] = []
    taken = set(names)
    for name in names:
        unique, number = name, 0
        while unique in found or (number and unique in taken):
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


def _json_of(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_json_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_json_of(item) for item in value) + "]"
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    return json.dumps(_exact(value), ensure_ascii=False)


def _parquet(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    try:
        pq.write_table(table, out, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        intervals = [field.name for field in table.schema if field.type == pa.month_day_nano_interval()]
        raise QueryError(
            f"Parquet cannot hold the column {intervals[0]!r} of type INTERVAL" if intervals else f"Parquet: {error}",
            cure="cast it, for example with ::VARCHAR",
        ) from None
    return out.getvalue()


def _markdown(table: pa.Table) -> str:
    right = _right_aligned(table)
    lines = ["| " + " | ".join(_markdown_cell(name) for name in table.column_names) + " |"]
    lines.append("|" + "|".join("---:" if is_right else "---" for is_right in right) + "|")
    lines += ["| " + " | ".join(_markdown_cell(_shown(value)) for value in row) + " |" for row in _rows(table)]
    return "\n".join(lines) + "\n" + (_more(table) and f"\n{_more(table)}\n")


def _markdown_cell(text: str) -> str:
    for special in ("\\", "|", "`", "*", "<", "["):
        text = text.replace(special, f"\\{special}")
    return text


def _plain_table(table: pa.Table) -> str:
    right = _right_aligned(table)
    rows = [[_shown(value) for value in row] for row in _rows(table)]
    heads = [_printable(name) for name in table.column_names]
    widths = [max([len(head), *(len(row[place]) for row in rows)]) for place, head in enumerate(heads)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    lines = [line(heads), "  ".join("─" * width for width in widths), *(line(row) for row in rows)]
    if not rows:
        lines.append("(no rows)")
    return "\n".join(lines) + "\n" + (_more(table) and f"{_more(table)}\n")


def _more(table: pa.Table) -> str:
    return f"(the first {table.num_rows} rows; more exist)" if is_truncated(table) else ""


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _right_aligned(table: pa.Table) -> list[bool]:
    import pyarrow.types as types

    return [
        types.is_integer(field.type) or types.is_decimal(field.type) or types.is_floating(field.type)
        for field in table.schema
    ]


def _exact(value: Any) -> str:
    """The text of one value with nothing lost."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        text = value.isoformat()
        return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping | list | tuple):
        return _json_of(value)
    return str(value)


def _shown(value: Any) -> str:
    """The text of one value for people."""
    if value is None:
        return ""
    if isinstance(value, Decimal) and "." in (text := f"{value:f}"):
        whole, _, places = text.partition(".")
        return f"{whole}.{places.rstrip('0').ljust(min(len(places), 2), '0')}"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return _printable(_exact(value))


def _printable(text: str) -> str:
    """Control characters and line ends as escapes: text from a bill must not drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
