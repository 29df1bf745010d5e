"""OpenAI with three projects and two keys, for the conformance suite."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.servers.openai import Cost, OpenAIStub, Usage


class OpenAIWorld(World):
    source_type = "openai"
    is_paged = True
    secrets = ("sk-admin-canary-7f3a91c2",)

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.api: OpenAIStub = OpenAIStub(rng=rng, admin_key=self.secrets[0], trailing_empty_pages=rng.randint(0, 2))
        self.api.projects = {"proj_a": "Support", "proj_b": "Search", "proj_c": "Archived"}
        self.api.api_keys = {"proj_a": {"key_1": "support-prod", "key_2": "support-dev"}}
        for offset in range(1, 8):
            day = self.window.start + timedelta(days=offset)
            for project, key in (("proj_a", "key_1"), ("proj_a", "key_2"), ("proj_b", None)):
                for line_item in ("gpt-5-nano, input_tokens", "gpt-5-nano, cached input", "web search tool calls"):
                    dollars = Decimal(rng.randrange(1, 10**12)).scaleb(-rng.choice((6, 9, 11)))
                    quantity, unit = (Decimal(rng.randrange(10**6)), "tokens") if "gpt" in line_item else (None, None)
                    self.api.costs.append(Cost(day, dollars, line_item, project, key, quantity, unit))
                self.api.usage.append(
                    Usage(day, "gpt-5-nano", project, key, 1000, rng.randrange(500), 0, 77, 3, batch=rng.random() < 0.3)
                )
        self.api.costs.append(Cost(self.window.start + timedelta(days=2), Decimal("-1.5"), "refund", "proj_b"))

    @property
    def options(self) -> dict[str, Any]:
        return {"admin_key": self.secrets[0], "base_url": f"{self.api.url}/v1", "usage": ["completions"]}

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for cost in self.api.costs:
            sums[cost.day] += cost.dollars
        return dict(sums)

    def empty(self) -> None:
        self.api.costs, self.api.usage = [], []

    def add_unknown_field(self, name: str) -> None:
        self.api.unknown_fields[name] = "new"

    def deny(self) -> None:
        self.api.admin_key = "another key"
