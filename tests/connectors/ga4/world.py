"""A property's BigQuery export with some days of AI events among others, for the conformance suite."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.servers.bigquery import Dataset, F, new_dataset

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VALUE = F(
    "value",
    "RECORD",
    F("string_value"),
    F("int_value", "INTEGER"),
    F("float_value", "FLOAT"),
    F("double_value", "FLOAT"),
)
# Google: "BigQuery Export schema", the columns that matter here and some beside them.
SCHEMA = [
    F("event_date"),
    F("event_timestamp", "INTEGER"),
    F("event_name"),
    F("event_params", "RECORD", F("key"), VALUE, repeated=True),
    F("user_id"),
    F("user_pseudo_id"),
    F("platform"),
    F("stream_id"),
]


def param(key: str, value: Any) -> dict[str, Any]:
    kind = "string_value" if isinstance(value, str) else "int_value" if isinstance(value, int) else "double_value"
    return {"key": key, "value": {kind: value}}


def event(moment: datetime, name: str, params: Mapping[str, Any], **columns: Any) -> dict[str, Any]:
    passed = moment - EPOCH
    automatic = {"ga_session_id": 1767323000, "page_location": "https://acme.example/chat"}
    return {
        "event_date": moment.strftime("%Y%m%d"),
        "event_timestamp": passed // timedelta(microseconds=1),
        "event_name": name,
        "event_params": [param(key, value) for key, value in {**automatic, **params}.items() if value is not None],
        "user_pseudo_id": "1234567.7654321",
        "platform": "WEB",
        **columns,
    }


def write_table(dataset: Dataset, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    dataset.client.delete_table(dataset.path(name), not_found_ok=True)
    dataset.create(name, SCHEMA, partition=None)
    dataset.load(name, rows)


class Ga4World(World):
    source_type = "ga4"
    secrets = ("/keys/canary-key-file-77c1.json", "hash-key-canary-55aa09")
    entries = 30

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._dataset = new_dataset()
        self._extra: dict[str, Any] = {}
        self._zone = timezone(timedelta(hours=self._rng.choice((-8, 0, 2))))  # the property's: it cuts the tables
        start = datetime(self.window.start.year, self.window.start.month, self.window.start.day, tzinfo=UTC)
        self._moments = [
            start + timedelta(hours=34 + 2 * n, microseconds=self._rng.randrange(10**6)) for n in range(self.entries)
        ]
        self._params = [self._call(n) for n in range(self.entries)]
        self._write()

    def _call(self, n: int) -> dict[str, Any]:
        rng = self._rng
        made = {
            "model": rng.choice(("gpt-5-mini", "claude-sonnet-4-5")),
            "provider": rng.choice(("openai", "anthropic", None)),
            "feature": rng.choice(("support_chat", "search", None)),
            "task_id": f"t-{n // 2}",
            "input_tokens": rng.choice((int, str))(rng.randrange(5000)),
            "output_tokens": rng.randrange(800),
            "latency_ms": rng.choice((812, 811.6, "812")),
            "response_id": f"resp-{n}",
        }
        return dict(rng.sample(sorted(made.items()), len(made)))

    def _write(self) -> None:
        days: dict[date, list[dict[str, Any]]] = {}
        for moment, params in zip(self._moments, self._params, strict=True):
            rows = days.setdefault(moment.astimezone(self._zone).date(), [])
            rows.append(event(moment, "ai_request", {**params, **self._extra}))
            rows.append(event(moment, "page_view", {"prompt": "of no AI event"}))
        for day, rows in days.items():
            self._rng.shuffle(rows)
            write_table(self._dataset, f"events_{day:%Y%m%d}", rows)

    @property
    def options(self) -> dict[str, Any]:
        return self._dataset.options(credentials_file=self.secrets[0], user_hash_key=self.secrets[1])

    @property
    def truth(self) -> dict[date, Decimal]:
        return {day: Decimal(count) for day, count in Counter(moment.date() for moment in self._moments).items()}

    def empty(self) -> None:
        for table in self._dataset.client.list_tables(self._dataset.name):
            self._dataset.delete(table.table_id)

    def add_unknown_field(self, name: str) -> None:
        self._extra[name] = "new"
        self._write()

    def deny(self) -> None:
        self._dataset.drop()
