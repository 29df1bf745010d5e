"""A local copy of an AWS FOCUS export, one billing period in two files, for the conformance suite."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.connectors.billing_files import AwsExport, focus_row, parquet
from tests.connectors.conformance.world import World
from tests.connectors.focus_files.world import without_rows


class _Folder:
    """A place for AwsExport to deliver to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, key: str) -> None:
        (self._root / key).unlink()

    def options(self, prefix: str = "") -> dict[str, Any]:
        return {"location": str(self._root / prefix)}


class AwsDataExportsWorld(World):
    source_type = "aws_data_exports"
    reads_all_days = True

    def __init__(self, seed: int, folder: Path) -> None:
        rng = random.Random(seed)
        self._folder = folder / "copy"
        self._export = AwsExport(_Folder(self._folder))
        self._rows = [
            focus_row(day, cost=str(Decimal(rng.randrange(1, 10**9)).scaleb(-8)), ResourceId=f"r{n}")
            for day in range(2, 9)
            for n in range(4)
        ]
        self._extra: dict[str, Any] = {}
        self._deliver()

    def _deliver(self) -> None:
        rows = [{**row, **self._extra} for row in self._rows]
        if rows:
            files = {f"focus-0000{n}.snappy.parquet": parquet(rows[n::2]) for n in range(2)}
        else:
            files = {"focus-00000.snappy.parquet": without_rows(parquet([{**focus_row(), "ResourceId": "r"}]))}
        self._export.deliver("2026-01", files)

    @property
    def options(self) -> dict[str, Any]:
        return {"location": str(self._folder / "exports" / "focus")}

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for row in self._rows:
            sums[row["ChargePeriodStart"].date()] += row["EffectiveCost"]
        return dict(sums)

    def empty(self) -> None:
        self._rows = []
        self._deliver()

    def add_unknown_field(self, name: str) -> None:
        self._extra[name] = "new"
        self._deliver()

    def deny(self) -> None:
        self._folder.rename(self._folder.with_name("elsewhere"))
