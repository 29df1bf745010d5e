"""The daily series that forecasts and detection read, from the marts, in one pass each.

Money becomes float64 here, and only here: these arrays are for statistics. Row i of every array
belongs to features[i], column t to start + t days.

Values stand in the SQL as literals: the first bound parameter of a process, and the first NumPy array that
pyarrow is given, import pandas, which is a sixth of what the daily statistics cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from warehouse.features import POOL_PREFIX
from warehouse.statements import render

Floats = NDArray[np.float64]
_TELEMETRY = ("calls", "retries", "failed_calls", "tasks", "successful_tasks", "tasks_with_outcome")


def read_settled(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """core.feature_settled, shared pools left out: feature, settled_through, due_through, waits_for, is_late."""
    result = con.execute(render("reads/settled.sql", pool=POOL_PREFIX))
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def read_feature_panel(con: duckdb.DuckDBPyConnection, *, through: date, days: int = 400) -> dict[str, Any]:
    """Series of every feature with a cost or a call in the `days` days up to and including `through`.

    Keys: `features` (tuple of names, sorted), `start` (date of column 0), and float64 arrays [n, T]:
    `cost_usd` (effective cost before credits: NaN before the feature's first day, on days that its
    sources have not settled, and where an amount has no US dollars; 0 on days without a charge),
    `serving_cost_usd` (it without training, with the estimate of calls that no bill is there for),
    `training_cost_usd` (of it, training, fine-tuning and evaluation),
    `calls`, `retries`, `failed_calls`, `tasks` (NaN on days without telemetry), `successful_tasks` and
    `tasks_with_outcome` (NaN also until the day's outcomes have settled: the feature's outcome_settles_days
    have passed by `through` and by the newest day of telemetry). T is the number of days from the first
    cost or call to `through`, at most `days`. Shared pools are left out; 'unallocated' is in.
    """
    first = through - timedelta(days=days - 1)
    table = con.execute(
        render("reads/feature_panel.sql", through=through, first=first, pool=POOL_PREFIX)
    ).to_arrow_table()
    return _panel(table, through)


def _panel(table: pa.Table, through: date) -> dict[str, Any]:
    found, codes = _read_texts(table, "feature")
    features = tuple(sorted(found))
    rank = np.argsort(np.argsort(np.array(found, dtype=object))) if found else np.array([], dtype=np.int64)
    rows = rank[codes]
    places = _read_numbers(table, "place").astype(np.int64)  # 0 is `through`, -1 the day before
    length = int(1 - places.min()) if len(places) else 0
    panel: dict[str, Any] = {"features": features, "start": through - timedelta(days=max(length - 1, 0))}
    for name in ("cost_usd", "serving_cost_usd", "training_cost_usd", *_TELEMETRY):
        values = np.full((len(features), length), np.nan)
        values[rows, places + length - 1] = _read_numbers(table, name)
        panel[name] = values
    return panel


def _read_texts(table: pa.Table, name: str) -> tuple[list[str], NDArray[Any]]:
    """(distinct texts, which of them each row has)."""
    column = _combine(table[name]).dictionary_encode(null_encoding="encode")
    return column.dictionary.to_pylist(), np.from_dlpack(column.indices)


def _read_numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """A column without nulls (unknown is NaN); pyarrow's own to_numpy imports pandas."""
    return np.asarray(np.from_dlpack(_combine(table[name])))


def _combine(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def read_members(
    con: duckdb.DuckDBPyConnection, *, features: Sequence[str], start: date, through: date
) -> list[dict[str, Any]]:
    """What the cost of `features` is made of: one dict per feature, dimension and member, sorted.

    Keys: `feature`, `dimension`, `member`, `cost_usd` (float64 [T], T days from `start` to and
    including `through`; 0 where the member cost nothing). The members of one dimension add up to the
    feature's cost, as far as its charges have that dimension.
    """
    days = (through - start).days + 1
    if not features:
        return []
    table = con.execute(render("reads/members.sql", start=start, through=through, features=features)).to_arrow_table()
    series = _read_numbers(table, "series").astype(np.int64)
    if not len(series):
        return []
    values: Floats = np.zeros((int(series[-1]) + 1, days))
    values[series, _read_numbers(table, "place")] = _read_numbers(table, "cost_usd")
    firsts = np.flatnonzero(np.diff(series, prepend=-1))
    texts = {name: _read_texts(table, name) for name in ("feature", "dimension", "member")}
    heads = [{name: found[codes[first]] for name, (found, codes) in texts.items()} for first in firsts.tolist()]
    return [{**head, "cost_usd": row} for head, row in zip(heads, values, strict=True)]
