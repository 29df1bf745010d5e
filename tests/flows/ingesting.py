"""A home whose sources are ingested and built as the daily run does it, in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from flows.run import Run, open_run
from flows.settings import load_settings
from flows.steps.build import build_warehouse
from flows.steps.ingest import apply_rates, sweep
from flows.steps.order import Step, ingest_sources
from tests.warehouse.bills import csv_bytes
from warehouse.store import open_warehouse

NOW = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)
FEATURES = "version: 1\nfeatures: {}\nrules: []\n"


def plainly(step: Step, run: Run, label: str, *arguments: Any) -> Any:
    """Execute a step as `flows.steps.direct` does."""
    return step.function(run, *arguments)


@dataclass
class Company:
    """`sources` and `extra` become trendbreak.yml anew with each run; the clock goes on by a day."""

    root: Path
    sources: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW

    @property
    def config(self) -> Path:
        (self.root / "features.yml").write_text(FEATURES)
        path = self.root / "trendbreak.yml"
        path.write_text(yaml.safe_dump({"home": "./data", "sources": self.sources, **self.extra}))
        return path

    def drop(self, name: str, rows: Sequence[Mapping[str, Any]], folder: str = "inbox") -> Path:
        """Write a FOCUS file, a minute newer than the one before."""
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(csv_bytes(rows))
        self.now += timedelta(minutes=1)
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        return path

    def run(self, *, build: bool = False) -> Run:
        """Ingest every source; the warehouse is closed again."""
        self.now += timedelta(hours=1)
        with open_run(load_settings(self.config), as_of=self.now.date(), now=self.now) as run:
            sweep(run)
            ingest_sources(run, plainly)
            if build:
                apply_rates(run)
                build_warehouse(run)
        return run

    @contextmanager
    def warehouse(self) -> Iterator[Any]:
        with open_warehouse(self.root / "data") as warehouse:
            yield warehouse

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse() as warehouse:
            return list(warehouse.con.execute(sql).fetchall())

    def billed(self, where: str = "TRUE") -> Decimal:
        return Decimal(self.ask(f"SELECT coalesce(sum(billed_cost), 0) FROM core.charges WHERE {where}")[0][0])

    def news(self, run: Run, source: str) -> int:
        """How many deliveries of the source changed something."""
        return sum(load.was_loaded and load.is_news for load in run.loads.get(source, []))


def days_of(start: date, count: int) -> list[date]:
    return [start + timedelta(days=offset) for offset in range(count)]
