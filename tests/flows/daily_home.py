"""A home whose bills are written by hand, and the daily steps in this process with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from flows.run import Run, open_run
from flows.settings import load_settings
from flows.steps.direct import run_direct
from tests.flows.small_bill import HEADER, month_after


@dataclass(frozen=True)
class Line:
    """One charge of a bill; `feature` is its tag."""

    day: date
    cost: Decimal
    feature: str = "chat"
    service: str = "Amazon Bedrock"
    category: str = "Usage"
    billed: Decimal | None = None  # default: as its cost
    tags: str | None = None  # default: {"feature": …}


def wobble(offset: int) -> Decimal:
    """A day's noise, a few percent, the same every time."""
    return Decimal(offset * 37 % 11 - 5) / 200 + 1


def daily_lines(feature: str, first: date, days: int, *, usd: int = 100, factor: Decimal = Decimal(1)) -> list[Line]:
    """`days` days of a feature's usage; `factor`: on all of them."""
    calendar = [first + timedelta(days=k) for k in range(days)]
    return [Line(day, usd * wobble(day.toordinal()) * factor, feature) for day in calendar]


def write_bill(path: Path, lines: Iterable[Line], *, account: str = "123456789012") -> None:
    """A FOCUS CSV file of one billing account."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [HEADER]
    for line in lines:
        period = line.day.replace(day=1)
        tags = line.tags if line.tags is not None else f'{{""feature"": ""{line.feature}""}}'
        rows.append(
            f"{line.cost if line.billed is None else line.billed},{line.cost},{line.cost},{account},USD,"
            f"{period}T00:00:00Z,{month_after(period)}T00:00:00Z,{line.category},"
            f"{line.day}T00:00:00Z,{line.day + timedelta(days=1)}T00:00:00Z,AWS,AWS,{line.service},"
            f'AI and Machine Learning,111122223333,"{tags}"'
        )
    path.write_text("\n".join(rows) + "\n")


@dataclass
class DailyHome:
    """`sources` are folders of FOCUS files; a tag `feature` names the feature."""

    folder: Path
    sources: Sequence[str] = ("drop",)
    features: Sequence[str] = ("chat", "search")
    extra: str = ""
    feature_text: str = ""
    runs: list[Run] = field(default_factory=list)

    def write(self) -> None:
        sources = "".join(f"  - {{name: {name}, type: focus_files, location: ./{name}}}\n" for name in self.sources)
        names = ", ".join(f"{name}: {{}}" for name in self.features)
        rules = "".join(f"  - {{when: {{tag.feature: {name}}}, feature: {name}}}\n" for name in self.features)
        for name in self.sources:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "features.yml").write_text(
            self.feature_text or f"version: 1\nfeatures: {{{names}}}\nrules:\n{rules}"
        )
        (self.folder / "trendbreak.yml").write_text(
            f"home: ./data\nsources:\n{sources}features: features.yml\n{self.extra}"
        )

    def bill(self, source: str, lines: Iterable[Line], *, name: str = "bill.csv") -> None:
        write_bill(self.folder / source / name, lines, account=f"account of {source}")

    def run(self, as_of: date, *, hour: int = 9) -> Run:
        """The daily steps as on a day."""
        settings = load_settings(self.folder / "trendbreak.yml")
        now = datetime(as_of.year, as_of.month, as_of.day, hour, tzinfo=UTC)
        with open_run(settings, as_of=as_of, now=now) as run:
            run_direct(run)
        assert not run.failures, run.failures
        self.runs.append(run)
        return run

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()
