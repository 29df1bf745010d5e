"""`trendbreak query`: one SELECT, or a canned query by name, on the published snapshot."""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from rich.console import Console

from flows.errors import FlowError
from flows.lake import past_snapshot
from flows.run import Home
from flows.settings import Settings
from flows.settings.errors import nearest

PastOf = tuple[Settings, datetime]
FORMATS = ("table", "csv", "json", "parquet", "markdown")
_NAME = re.compile(r"^[a-z][a-z0-9_-]*$")  # one word is a name: no statement is


def list_canned(console: Console) -> None:
    """The canned queries, one line each."""
    from warehouse.query import canned

    for name, (description, _sql) in canned().items():
        console.print(f"{name:32s} {description}", markup=False, highlight=False)


def run_adhoc(
    sql: str,
    home: Path,
    *,
    fmt: str,
    output: Path | None,
    timeout_seconds: float,
    memory_limit: str = "512MB",
    unsafe: bool = False,
    at: PastOf | None = None,
) -> None:
    """Print the answer, or write it to `output`. Raises FlowError or warehouse.errors.QueryError with the cure.

    `at`: settings of a DuckLake and a moment, to ask what was published by then.
    """
    from warehouse.query import canned, format_table, run_query

    if fmt not in FORMATS:
        raise FlowError(f"--format {fmt!r} is unknown{nearest(fmt, FORMATS)} — use one of {', '.join(FORMATS)}")
    if fmt == "parquet" and output is None and sys.stdout.isatty():
        raise FlowError("parquet is binary — add --output FILE, or pipe it into a file")
    published = Home(home).published
    if at is None and not published.is_file():
        raise FlowError(f"{published}: nothing is published yet — `trendbreak run` publishes")
    queries = canned()
    if _NAME.match(sql) and sql not in queries:
        hint = nearest(sql, queries)
        raise FlowError(f"no canned query is named {sql!r}{hint} — `trendbreak query --list` shows them")
    is_canned = sql in queries
    statement = queries[sql][1] if is_canned else sql
    with past_snapshot(*at, statement) if at is not None else nullcontext(published) as file:
        table = run_query(
            file,
            statement,
            timeout_seconds=timeout_seconds,
            memory_limit=memory_limit,
            unsafe=unsafe,
            is_canned=is_canned and at is None,  # no run publishes the past anew
        )
    answer = format_table(table, fmt)
    data = answer if isinstance(answer, bytes) else answer.encode()
    if output is not None:
        try:
            output.write_bytes(data)
        except OSError as error:
            raise FlowError(f"--output {output}: {error.strerror} — name a file in a folder that exists") from None
        return
    sys.stdout.buffer.write(data if data.endswith(b"\n") or fmt == "parquet" else data + b"\n")
    sys.stdout.flush()
