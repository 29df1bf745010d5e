"""A drop folder with a CSV, a gzip'ed CSV and a Parquet file, for the conformance suite."""

from __future__ import annotations

import gzip
import io
import random
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.connectors.billing_files import focus_csv, focus_row, parquet
from tests.connectors.conformance.world import World


class FocusFilesWorld(World):
    source_type = "focus_files"
    reads_all_days = True

    def __init__(self, seed: int, folder: Path) -> None:
        self._rng = random.Random(seed)
        self._folder = folder / "inbox"
        self._rows = [
            focus_row(day, cost=str(Decimal(self._rng.randrange(-(10**5), 10**9)).scaleb(-8)), ResourceId=f"r{n}")
            for day in range(2, 9)
            for n in range(6)
        ]
        self._extra: dict[str, Any] = {}
        self._write()

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        columns = [*focus_row(), "ResourceId", *self._extra]
        self._rng.shuffle(columns)
        rows = [{**row, **self._extra} for row in self._rows]
        (self._folder / "bill-2026-01-a.csv").write_bytes(focus_csv(rows[0::3], columns=columns))
        packed = focus_csv(rows[1::3], columns=columns, null="NULL")
        (self._folder / "bill-2026-01-b.csv.gz").write_bytes(gzip.compress(packed, mtime=0))
        kept = [{name: row[name] for name in columns} for row in rows[2::3]]
        shown = kept or [{**focus_row(), "ResourceId": "", **self._extra}]
        table = parquet(shown)
        (self._folder / "bill-2026-01-c.parquet").write_bytes(table if kept else without_rows(table))

    @property
    def options(self) -> dict[str, Any]:
        return {"location": str(self._folder)}

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for row in self._rows:
            sums[row["ChargePeriodStart"].date()] += row["EffectiveCost"]
        return dict(sums)

    def empty(self) -> None:
        self._rows = []
        self._write()

    def add_unknown_field(self, name: str) -> None:
        self._extra[name] = "new"
        self._write()

    def deny(self) -> None:
        self._folder.rename(self._folder.with_name("elsewhere"))


def without_rows(data: bytes) -> bytes:
    """A Parquet file with the same columns and no row."""
    sink = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(data)).slice(0, 0), sink)
    return sink.getvalue()
