"""The world of a source that reads files of a log: records of some days, in files of several kinds."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.connectors.conformance.world import World


def as_csv(records: Sequence[dict[str, Any]]) -> bytes:
    """Objects and lists become JSON text, as exports write them."""
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for record in records:
        cells = (record.get(name) for name in names)
        writer.writerow(["" if c is None else json.dumps(c) if isinstance(c, dict | list) else c for c in cells])
    return text.getvalue().encode()


def as_parquet(records: Sequence[dict[str, Any]]) -> bytes:
    flat = [{k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in r.items()} for r in records]
    names = list(dict.fromkeys(name for record in flat for name in record))
    columns = {name: [record.get(name) for record in flat] for name in names}
    for name, cells in columns.items():
        if len({type(cell) for cell in cells if cell is not None}) > 1:  # a column has one type
            columns[name] = [None if cell is None else str(cell) for cell in cells]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def as_lines(records: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


class LogWorld(World):
    secrets = ("hash-key-canary-55aa02",)
    reads_all_days = True
    formats: tuple[str, ...] = ("a.jsonl", "b.json", "c.csv", "d.csv.gz", "e.parquet", "sub/f.ndjson.gz", "g.json.gz")
    optional: frozenset[str] = frozenset()
    entries = 90

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self._folder = folder / "log"
        self._extra: dict[str, Any] = {}
        start = datetime(self.window.start.year, self.window.start.month, self.window.start.day, tzinfo=UTC)
        self._moments = [start + timedelta(hours=25 + n, microseconds=self.rng.randrange(10**6)) for n in range(90)]
        self._records = [self.record(n, moment) for n, moment in enumerate(self._moments)]
        self._write()

    @abstractmethod
    def record(self, n: int, moment: datetime) -> dict[str, Any]:
        """The n-th record as the tool writes it, made from its documented schema."""

    def _varied(self, record: dict[str, Any]) -> dict[str, Any]:
        items = list({**record, **self._extra}.items())
        self.rng.shuffle(items)
        return {k: v for k, v in items if v is not None or k not in self.optional or self.rng.random() < 0.5}

    def _write(self) -> None:
        for place, name in enumerate(self.formats):
            records = [self._varied(record) for record in self._records[place :: len(self.formats)]]
            if name.endswith((".csv", ".csv.gz")):
                data = as_csv(records)
            elif name.endswith(".parquet"):
                data = as_parquet(records)
            elif name in ("b.json", "g.json.gz") and self.rng.random() < 0.5:
                data = json.dumps(records, indent=self.rng.choice((None, 1))).encode()
            else:
                data = as_lines(records)
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    @property
    def options(self) -> dict[str, Any]:
        return {"location": str(self._folder), "user_hash_key": self.secrets[0]}

    @property
    def truth(self) -> dict[date, Decimal]:
        days = Counter(moment.date() for moment in self._moments)
        return {day: Decimal(count) for day, count in days.items()}

    def empty(self) -> None:
        self._records, self._moments = [], []
        self._write()

    def add_unknown_field(self, name: str) -> None:
        self._extra[name] = "new"
        self._write()

    def deny(self) -> None:
        self._folder.rename(self._folder.with_name("elsewhere"))
