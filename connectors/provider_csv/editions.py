"""Exports that overlap: this month so far, exported each week, holds every week before it again.

Where a newer file repeats an older one's rows, the newer one speaks for the days it covers, and the
older one keeps its other days. Where two files share days but no rows (two projects exported apart), both
count in full. Where they share the rows' dimensions and not their amounts, nobody can tell which of
the two it is, and the newer file is refused with both names.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from operator import add
from pathlib import Path
from typing import Literal

from connectors.base import Window
from connectors.errors import ConfigError, ConnectorError, PayloadError
from connectors.focus_files.days import month_of, window_in_name
from connectors.object_storage import Storage, StoredFile
from connectors.provider_csv.exports import open_export
from connectors.provider_csv.parse import export_day, parse_files

# What a row says; all other columns say of what.
_MEASURES = frozenset(
    {"amount_value", "quantity", "cost_usd", "list_price_usd", "num_model_requests", "web_search_count"}
)
# Columns whose text differs between two exports of the same row, or tells nothing.
_TELLS_NOTHING = frozenset({"start_time_iso", "end_time_iso", "api_key_status", "user_email"})
_UNDERSCORED = re.compile(r"(?<!\d)(20\d\d)_(\d\d)(?:_(\d\d))?(?!\d)")


@dataclass(frozen=True)
class Edition:
    """What one file holds: its rows by day, each as its cells."""

    kind: str
    columns: frozenset[str]
    days: Mapping[date, Sequence[Mapping[str, str]]]

    @property
    def window(self) -> Window:
        return Window(min(self.days), max(self.days) + timedelta(days=1))


@dataclass
class Overlaps:
    """`taken`: of each older file, the days that a newer one speaks for. `problems`: files to be refused."""

    taken: dict[str, dict[date, str]] = field(default_factory=lambda: defaultdict(dict))
    problems: dict[str, ConnectorError] = field(default_factory=dict)


def window_of(file: StoredFile) -> Window | None:
    """The days that a file's name tells: cost_2026-01-01_2026-01-31.csv, claude_api_cost_2026_01.csv."""
    return window_in_name(_UNDERSCORED.sub(lambda found: "-".join(filter(None, found.groups())), file.name))


def landing_window(file: StoredFile) -> Window:
    """The days that name the landing folder; they decide nothing else."""
    return window_of(file) or month_of(file.modified.date())


def find_overlaps(storage: Storage, files: Sequence[StoredFile]) -> Overlaps:
    """`files` oldest first. Only files whose names do not rule an overlap out are read."""
    overlaps = Overlaps()
    editions = dict(_read(storage, [file for file in files if _may_overlap(file, files)]))
    repeated: list[tuple[str, str, list[date]]] = []
    for index, newer in enumerate(files):
        for older in files[:index]:
            one, other = editions.get(older.name), editions.get(newer.name)
            if one is None or other is None or one.kind != other.kind:
                continue
            verdict, shared = _compare(one, other)
            if verdict == "repeats":
                repeated.append((older.name, newer.name, shared))
            elif verdict == "contradicts":
                overlaps.problems[newer.name] = _contradiction(older, newer, shared)
    for older_name, newer_name, days in repeated:
        if newer_name not in overlaps.problems:  # what is refused speaks for no day
            overlaps.taken[older_name] |= dict.fromkeys(days, newer_name)
    return overlaps


def _may_overlap(file: StoredFile, files: Sequence[StoredFile]) -> bool:
    mine = window_of(file)
    for other in files:
        if other is not file:
            theirs = window_of(other)
            # Whether a name's last day is included is not told; so neighbours are looked at too.
            if mine is None or theirs is None or (mine.start <= theirs.end and theirs.start <= mine.end):
                return True
    return False


def _read(storage: Storage, files: Sequence[StoredFile]) -> Iterator[tuple[str, Edition]]:
    for file in files:
        try:
            edition = _edition(storage, file)
        except PayloadError:
            continue  # whatever is wrong with the file, parse says it
        if edition.days:
            yield file.name, edition


def _edition(storage: Storage, file: StoredFile) -> Edition:
    with local_copy(storage, file) as copy:
        return _summarise(file.name, copy)


@contextmanager
def local_copy(storage: Storage, file: StoredFile) -> Iterator[Path]:
    """Where the file stands on this machine, for as long as the block lasts."""
    path = storage.local_path(file)
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(file.name).name
        with copy.open("wb") as stream:
            stream.writelines(storage.chunks(file))
        yield copy


def _summarise(name: str, path: Path) -> Edition:
    # What cannot be loaded must not speak for a day of another file.
    parse_files({name: path}, organization=None)
    export = open_export(name, path)
    days: dict[date, list[Mapping[str, str]]] = defaultdict(list)
    for row in export.rows():
        days[export_day(export, row)].append(row.cells)
    return Edition(export.export.kind, frozenset(export.columns) - _TELLS_NOTHING, days)


def _compare(one: Edition, other: Edition) -> tuple[Literal["apart", "repeats", "contradicts"], list[date]]:
    """What the newer edition `other` is to the older one, and the older one's days that it covers."""
    covered = [day for day in one.days if other.window.start <= day < other.window.end]
    columns = one.columns & other.columns
    measures = sorted(name for name in columns if name in _MEASURES or name.endswith("_tokens"))
    dimensions = sorted(columns - set(measures))
    last = max(one.days)
    alike = equal = mine_count = theirs_count = 0
    for day in covered:
        if day not in other.days:
            continue
        mine, theirs = (_by_dimensions(edition.days[day], dimensions, measures) for edition in (one, other))
        mine_count, theirs_count = mine_count + len(mine), theirs_count + len(theirs)
        for key in mine.keys() & theirs.keys():
            alike += 1
            # The day on which the older file was exported was not over: since then it only grew.
            grew = day == last and all(a <= b for a, b in zip(mine[key], theirs[key], strict=True))
            equal += mine[key] == theirs[key] or grew
    fewest = min(mine_count, theirs_count)
    if equal and equal * 2 >= fewest:
        return "repeats", covered
    if alike and alike * 2 >= fewest:
        return "contradicts", covered
    return "apart", []


def _contradiction(older: StoredFile, newer: StoredFile, days: Sequence[date]) -> ConfigError:
    return ConfigError(
        f"from {min(days)} to {max(days)} it has the rows of {older.name}, with other amounts",
        where=newer.address,
        cure=f"if it replaces {older.name}, give it that file's name; if both are parts, export them by project, "
        "workspace or key, so that they can be told apart",
    )


def _by_dimensions(
    rows: Sequence[Mapping[str, str]], dimensions: Sequence[str], measures: Sequence[str]
) -> dict[tuple[str, ...], tuple[Decimal, ...]]:
    sums: dict[tuple[str, ...], tuple[Decimal, ...]] = {}
    for cells in rows:
        key = tuple(cells.get(name, "") for name in dimensions)
        found = tuple(_number(cells.get(name, "0")) for name in measures)
        sums[key] = tuple(map(add, sums[key], found)) if key in sums else found
    return sums


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))  # the file was parsed before: it is a number
