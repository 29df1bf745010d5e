"""The published charges beside an empty warehouse in memory: what other rules would say, and nothing is changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.query import QueryError
from warehouse.statements import render
from warehouse.store import MEMORY_LIMIT


@dataclass(frozen=True)
class Preview:
    """A connection whose core.charges, core.usage and core.metered_usage are the snapshot's, read-only."""

    con: duckdb.DuckDBPyConnection


@contextmanager
def open_preview(published: Path) -> Iterator[Preview]:
    """Readers and a run that is writing are not disturbed. Raises QueryError where nothing is published."""
    if not published.is_file():
        raise QueryError("nothing is published yet", where=str(published), cure="`trendbreak run` publishes")
    with (
        tempfile.TemporaryDirectory(prefix="trendbreak-") as spill,
        duckdb.connect(":memory:", config={"memory_limit": MEMORY_LIMIT, "temp_directory": spill}) as con,
    ):
        con.execute("SET TimeZone = 'UTC'")
        con.execute(render("rules/preview.sql", published=published))
        yield Preview(con)
