"""The loading contract in thirty lines: what a warehouse does with deliveries, as a list of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from connectors.base import Connector, DeliveryRef, FileScan, Parsed, Rows, Window

DAY_COLUMNS = {
    "charges": "charge_date",
    "metered_usage": "usage_date",
    "calls": "called_at",
    "outcomes": "outcome_at",
    "gpu_utilization": "usage_date",
}


class Ledger:
    """Rows by what they replace: a scope, or a window of days."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._deliveries = 0
        self.rows: list[tuple[str, str, dict[str, Any]]] = []  # (scope, layout, row)
        self.notes: list[str] = []

    def run(self, connector: Connector, window: Window) -> list[Parsed]:
        return [self.load(connector, ref) for ref in connector.discover(window)]

    def land(self, connector: Connector, ref: DeliveryRef) -> dict[str, Path]:
        self._deliveries += 1
        files: dict[str, Path] = {}
        for payload in connector.fetch(ref):
            path = self._folder / f"{self._deliveries:04d}" / payload.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(payload.chunks)
            files[payload.name] = path
        return files

    def load(self, connector: Connector, ref: DeliveryRef) -> Parsed:
        parsed = connector.parse(self.land(connector, ref))
        incoming = [(ref.scope, *row) for part in parsed.parts for row in read_part(part)]
        if ref.replaces == "scope":
            self.rows = [row for row in self.rows if row[0] != ref.scope]
        else:
            for _, layout, row in incoming:
                assert ref.window.start <= day_of(layout, row) < ref.window.end, "a row outside its delivery's window"
            kept = ref.window
            self.rows = [row for row in self.rows if not kept.start <= day_of(row[1], row[2]) < kept.end]
        self.rows += incoming
        self.notes += parsed.notes
        return parsed

    def contents(self) -> list[str]:
        """Every row without its scope, in a fixed order, for comparison."""
        return sorted(f"{layout} {sorted((k, str(v)) for k, v in row.items())}" for _, layout, row in self.rows)

    def totals(self) -> dict[date, Decimal]:
        """Σ effective cost by day, or calls by day where there is no money; days with nothing are left out."""
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for _, layout, row in self.rows:
            if layout == "charges":
                sums[day_of(layout, row)] += row["effective_cost"]
            elif layout == "gpu_utilization":
                sums[day_of(layout, row)] += row["samples"]
            elif layout in ("calls", "outcomes"):
                sums[day_of(layout, row)] += 1
        return {day: total for day, total in sums.items() if total}


def day_of(layout: str, row: dict[str, Any]) -> date:
    day = row[DAY_COLUMNS[layout]]
    return day.date() if isinstance(day, datetime) else day


def read_part(part: Rows | FileScan) -> Iterable[tuple[str, dict[str, Any]]]:
    if part.layout == "telemetry_issues":
        return []  # what was counted: no rows of the source
    if isinstance(part, Rows):
        return [(part.layout, row) for row in part.table.to_pylist()]
    if part.layout in ("calls", "outcomes"):
        return [(part.layout, row) for row in scan(part).to_pylist()]
    # Bills in FOCUS terms; other layouts join when their staging models do.
    return [
        (
            "charges",
            {
                "charge_date": date.fromisoformat(str(row["ChargePeriodStart"])[:10]),
                "effective_cost": Decimal(str(row["EffectiveCost"])),
                "service_name": row["ServiceName"],
            },
        )
        for row in scan(part).to_pylist()
    ]


def scan(part: FileScan) -> pa.Table:
    """The files of a scan under their canonical names, read in place."""
    columns = ", ".join(f'"{name}" AS "{canonical}"' for canonical, name in part.columns.items())
    files = [str(path) for path in part.files]
    con = _reader()
    if part.file_format == "parquet":
        source = con.read_parquet(files, union_by_name=True, hive_partitioning=False)  # type: ignore[arg-type]
    else:
        source = con.read_csv(files, all_varchar=True, union_by_name=True)  # type: ignore[arg-type]
    return source.project(columns).to_arrow_table()


@cache
def _reader() -> duckdb.DuckDBPyConnection:
    """One for all scans: a database of its own would take longer than most of them."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return con
