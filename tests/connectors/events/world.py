"""A folder with three files of calls, for the conformance suite."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.connectors.conformance.world import World


class EventsWorld(World):
    source_type = "events"
    secrets = ("hash-key-canary-55aa01",)
    reads_all_days = True

    def __init__(self, seed: int, folder: Path) -> None:
        self._rng = random.Random(seed)
        self._folder = folder / "events"
        self._extra: dict[str, Any] = {}
        start = datetime(self.window.start.year, self.window.start.month, self.window.start.day, tzinfo=UTC)
        self._calls = [
            {
                "time": (start + timedelta(hours=26 + n))
                .isoformat()
                .replace("+00:00", self._rng.choice(("Z", "+00:00"))),
                "provider": "openai",
                "model": "gpt-5-nano",
                "feature": "support",
                "task_id": f"task-{n // 2}",
                "attempt": 1 + n % 2,
                "outcome": self._rng.choice(("resolved", None)),
                "input_tokens": self._rng.randrange(1000),
                "output_tokens": self._rng.randrange(1000),
                "user_id": f"user-{n % 5}",
            }
            for n in range(120)
        ]
        self._write()

    def _write(self) -> None:
        (self._folder / "sub").mkdir(parents=True, exist_ok=True)
        thirds = [self._calls[n::3] for n in range(3)]
        for name, calls in zip(("a.jsonl", "b.ndjson", "sub/c.jsonl.gz"), thirds, strict=True):
            lines = []
            for call in calls:
                items = list({**call, **self._extra}.items())
                self._rng.shuffle(items)
                lines.append(json.dumps(dict(items)) + "\n")
            data = "".join(lines).encode()
            (self._folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    @property
    def options(self) -> dict[str, Any]:
        return {"location": str(self._folder), "user_hash_key": self.secrets[0]}

    @property
    def truth(self) -> dict[date, Decimal]:
        days = Counter(datetime.fromisoformat(str(call["time"])).date() for call in self._calls)
        return {day: Decimal(count) for day, count in days.items()}

    def empty(self) -> None:
        self._calls = []
        self._write()

    def add_unknown_field(self, name: str) -> None:
        self._extra[name] = "new"
        self._write()

    def deny(self) -> None:
        self._folder.rename(self._folder.with_name("elsewhere"))
