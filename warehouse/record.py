"""Beside the landed bytes: what was done with them. A rebuild needs both.

    <landing>/.record/<table>.parquet

Landed bytes do not say which of them were forgotten, in what order they were loaded, or which past totals
they restated when; nor does anything say the provider's hourly meters of last week. Those tables are copied here
at the end of every build, each by one rename.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from warehouse.errors import ReconciliationError, StoreError
from warehouse.statements import render
from warehouse.store import Warehouse

FOLDER = ".record"
DELIVERIES, DAYS = "ops.deliveries", "ops.delivery_days"
# What no payload says.
HISTORY = ("ops.restatements", "ops.reconciliations", "ops.histories", "core.metered_hours")


@dataclass(frozen=True)
class Loaded:
    """A delivery that speaks, as it was loaded."""

    source_name: str
    delivery_id: str
    scope: str
    loaded_at: datetime
    load_number: int


def write_record(wh: Warehouse, landing: Path) -> None:
    """Copy the tables; a table that is the same as before is written again."""
    folder = Path(landing) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for table in (DAYS, *HISTORY, DELIVERIES):
        path = _path(folder, table)
        partial = path.with_suffix(".partial")
        wh.con.execute(render("record/write.sql", table=table, path=partial))
        os.replace(partial, path)


def has_record(landing: Path) -> bool:
    """Whether a build has left its record there."""
    return _path(Path(landing) / FOLDER, DELIVERIES).is_file()


def read_loaded(con: duckdb.DuckDBPyConnection, landing: Path) -> list[Loaded]:
    """The deliveries that spoke when the record was written, in the order of loading."""
    path = _path(Path(landing) / FOLDER, DELIVERIES)
    try:
        rows = con.execute(render("record/standing.sql", path=path)).fetchall()
    except duckdb.Error as error:
        raise StoreError(
            f"the record cannot be read: {error}", where=str(path), cure="remove the folder and rebuild without it"
        ) from error
    return [Loaded(*row) for row in rows]


def restore_record(wh: Warehouse, landing: Path, *, failed: Iterable[str]) -> None:
    """After a replay: check that it adds up to what was recorded, then put the recorded history in place.

    `failed`: sources of which a delivery could not be loaded. Their deliveries and days stay as the replay left
    them, so that the next run fetches what is missing. Raises ReconciliationError for a day that differs.
    """
    folder = Path(landing) / FOLDER
    names = sorted(failed)
    con = wh.con
    row = con.execute(render("record/differs.sql", path=_path(folder, DAYS)), {"failed": names}).fetchone()
    if row is not None:
        source, day, currency, expected, actual = row
        raise ReconciliationError(
            f"effective cost is {actual}, it was {expected}",
            where=f"replay, {source}, {day}, {currency}",
            cure="the warehouse stands as before; a landed delivery says something else than when it was loaded",
        )

    def restore() -> None:
        for table in (*HISTORY, *(() if names else (DELIVERIES, DAYS))):
            con.execute(render("record/restore.sql", table=table, path=_path(folder, table)))

    wh.commit(restore)


def _path(folder: Path, table: str) -> Path:
    return folder / f"{table}.parquet"
