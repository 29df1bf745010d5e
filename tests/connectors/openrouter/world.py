"""OpenRouter with two models on three endpoints, for the conformance suite."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.servers.openrouter import Activity, OpenRouterStub


class OpenRouterWorld(World):
    source_type = "openrouter"
    secrets = ("sk-or-canary-b16b00b5",)

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.api: OpenRouterStub = OpenRouterStub(rng=rng, management_key=self.secrets[0])
        for offset in range(1, 8):
            for endpoint, model in (("e1", "openai/gpt-4.1"), ("e2", "openai/gpt-4.1"), ("e3", "z-ai/glm-5")):
                dollars = Decimal(rng.randrange(1, 10**11)).scaleb(-rng.choice((5, 9, 11)))
                self.api.activity.append(Activity(self.window.start + timedelta(days=offset), dollars, model, endpoint))

    @property
    def options(self) -> dict[str, Any]:
        return {"management_key": self.secrets[0], "base_url": f"{self.api.url}/api/v1"}

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for row in self.api.activity:
            sums[row.day] += row.dollars
        return dict(sums)

    def empty(self) -> None:
        self.api.activity = []

    def add_unknown_field(self, name: str) -> None:
        self.api.unknown_fields[name] = "new"

    def deny(self) -> None:
        self.api.management_key = "another key"
