"""Which days a bill speaks for, as far as its name, its statistics or its first row tell."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import Window
from connectors.focus_columns import plain
from connectors.object_storage import Storage, StoredFile
from connectors.tabular_files import data_suffix

_PEEK_BYTES = 1 << 16


def days_of(storage: Storage, file: StoredFile) -> Window:
    """The days that a file speaks for, as far as that can be told without reading it.

    From its name (…/BILLING_PERIOD=2026-01/…, 20260101-20260131, 2026-01), else, in a folder, from a
    Parquet file's statistics or the first row's billing period, else the month of its last change.
    The window names the landing folder; what a delivery replaces is its scope.
    """
    told = window_in_name(file.name)
    path = storage.local_path(file)
    if told is None and path is not None:
        told = _window_inside(path, data_suffix(file.name) or "")
    return told or month_of(file.modified.date())


_DAY = r"(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])"
_RANGE = re.compile(rf"(?<!\d){_DAY}(?:[-_]|_to_|-to-){_DAY}(?!\d)")
_MONTH = re.compile(r"(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])(?![\d])(?!-\d)")


def window_in_name(name: str) -> Window | None:
    """The days that a file's path names: a range of days, or a month.

    A range's last day is included (Azure: 20260101-20260131), unless both are firsts of a month (AWS:
    20260101-20260201).
    """
    ranges = _RANGE.findall(name)
    if ranges:
        numbers = [int(part) for part in ranges[-1]]
        try:
            start, last = date(*numbers[:3]), date(*numbers[3:])
        except ValueError:
            return None
        if start > last:
            return None
        is_exclusive = start.day == last.day == 1 and start < last
        return Window(start, last if is_exclusive else last + timedelta(days=1))
    months = _MONTH.findall(name)
    return month_of(date(int(months[-1][0]), int(months[-1][1]), 1)) if months else None


def month_of(day: date) -> Window:
    """The calendar month that holds `day`."""
    start = day.replace(day=1)
    return Window(start, (start + timedelta(days=32)).replace(day=1))


def _window_inside(path: Path, suffix: str) -> Window | None:
    try:
        times = _parquet_times(path) if suffix == ".parquet" else _first_row_times(path, is_gzip=suffix.endswith(".gz"))
    except (OSError, EOFError, zlib.error, ValueError, csv.Error, pa.ArrowException):
        return None  # whatever is wrong with the file, parse says it with its name
    if not times:
        return None
    start, end = min(times), max(times)
    return Window(start, end) if start < end else month_of(start)


def _first_row_times(path: Path, *, is_gzip: bool) -> list[date]:
    with gzip.open(path) if is_gzip else path.open("rb") as stream:
        head = stream.read(_PEEK_BYTES)
    row = next(csv.DictReader(io.StringIO(head.decode("utf-8-sig", errors="replace"), newline="")), {})
    return _billing_period({plain(key): value for key, value in row.items() if isinstance(key, str)})


def _parquet_times(path: Path) -> list[date]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        columns = {plain(metadata.schema.column(i).path): i for i in range(metadata.num_columns)}
        times: list[date] = []
        for group in range(metadata.num_row_groups):
            facts: dict[str, Any] = {}
            for column, pick in (("billingperiodstart", "min"), ("billingperiodend", "max")):
                index = columns.get(column)
                statistics = None if index is None else metadata.row_group(group).column(index).statistics
                if statistics is not None and statistics.has_min_max:
                    facts[column] = getattr(statistics, pick)
            times += _billing_period(facts)
    return times


def _billing_period(facts: dict[str, Any]) -> list[date]:
    start, end = (_day(facts.get(column)) for column in ("billingperiodstart", "billingperiodend"))
    return [start, end] if start and end and start < end else []


def _day(told: object) -> date | None:
    if isinstance(told, datetime):
        return told.date()
    if isinstance(told, date):
        return told
    return date.fromisoformat(told.strip()[:10]) if isinstance(told, str) and told.strip() else None
