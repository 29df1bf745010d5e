"""Anthropic with two workspaces, three keys and the Workbench, for the conformance suite."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.servers.anthropic import AnthropicStub, Charge, Use


class AnthropicWorld(World):
    source_type = "anthropic"
    is_paged = True
    secrets = ("sk-ant-admin-canary-c0ffee99",)

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.api: AnthropicStub = AnthropicStub(
            rng=rng, admin_key=self.secrets[0], trailing_empty_pages=rng.randint(0, 1)
        )
        self.api.workspaces = {"wrkspc_1": "Support"}
        self.api.api_keys = {"apikey_1": "support-prod", "apikey_2": "support-dev", "apikey_3": "batch"}
        geos = rng.choice((("global",), ("global", "us")))
        windows = rng.choice((("0-200k",), ("0-200k", "200k-1M")))
        for offset in range(1, 8):
            day = self.window.start + timedelta(days=offset)
            for key, workspace in (
                ("apikey_1", "wrkspc_1"),
                ("apikey_2", "wrkspc_1"),
                ("apikey_3", None),
                (None, None),
            ):
                meters = {
                    "uncached_input_tokens": rng.randrange(1, 10**7),
                    "cache_read_input_tokens": rng.randrange(10**7),
                    "cache_creation.ephemeral_5m_input_tokens": rng.randrange(10**6),
                    "cache_creation.ephemeral_1h_input_tokens": rng.randrange(10**6),
                    "output_tokens": rng.randrange(10**6),
                    "web_search_requests": rng.randrange(30),
                }
                tier = "batch" if key == "apikey_3" else "standard"
                self.api.uses.append(
                    Use(
                        day,
                        key,
                        workspace,
                        meters,
                        service_tier=tier,
                        inference_geo=rng.choice(geos),
                        context_window=rng.choice(windows),
                    )
                )
        day = self.window.start + timedelta(days=3)
        self.api.uses.append(Use(day, "apikey_1", "wrkspc_1", {"output_tokens": 5}, service_tier="priority"))
        self.api.charges.append(Charge(day, "wrkspc_1", Decimal("123.78912")))

    @property
    def options(self) -> dict[str, Any]:
        return {"admin_key": self.secrets[0], "base_url": self.api.url}

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for line in self.api.cost_cents():
            sums[line["day"]] += line["cents"] / 100
        return dict(sums)

    def empty(self) -> None:
        self.api.uses, self.api.charges = [], []

    def add_unknown_field(self, name: str) -> None:
        self.api.unknown_fields[name] = "new"

    def deny(self) -> None:
        self.api.admin_key = "another key"
