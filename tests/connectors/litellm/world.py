"""A LiteLLM proxy with a few days of spend logs, for the conformance suite."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.servers.litellm import KEY, LiteLlmStub, spend_log


class LiteLlmWorld(World):
    source_type = "litellm"
    secrets = (KEY, "hash-key-canary-55aa03")
    api: LiteLlmStub

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        start = datetime(self.window.start.year, self.window.start.month, self.window.start.day, tzinfo=UTC)
        self._moments = [start + timedelta(hours=25 + n, seconds=self._rng.randrange(3600)) for n in range(90)]
        rows = [spend_log(n, moment, self._rng) for n, moment in enumerate(self._moments)]
        self.api = LiteLlmStub(rng=random.Random(seed), rows=rows)

    @property
    def options(self) -> dict[str, Any]:
        return {"base_url": self.api.url, "api_key": KEY, "user_hash_key": self.secrets[1]}

    @property
    def truth(self) -> dict[date, Decimal]:
        days = Counter(moment.date() for moment in self._moments)
        return {day: Decimal(count) for day, count in days.items()}

    def empty(self) -> None:
        self.api.rows, self._moments = [], []

    def add_unknown_field(self, name: str) -> None:
        for row in self.api.rows:
            row[name] = "new"

    def deny(self) -> None:
        self.api.is_denied = True
