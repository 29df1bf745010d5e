"""Cost Explorer with two accounts, savings plans, taxes and credits, for the conformance suite."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.servers.cost_explorer import ACCOUNT, CostExplorerStub, Line

MEMBER = "444455556666"


class AwsCostExplorerWorld(World):
    source_type = "aws_cost_explorer"
    is_paged = True
    secrets = ("never-in-an-error",)  # what tests.servers.s3.use_test_credentials puts into the environment

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.api: CostExplorerStub = CostExplorerStub(
            rng=self._rng, largest_page=self._rng.choice((5, 20, 5000)), has_net_metrics=seed % 2 == 0
        )
        self.api.account_names = {ACCOUNT: "acme", MEMBER: "acme-research"}
        self._split_by = self._rng.choice((None, "account", "tag:feature"))
        for offset in range(1, 8):
            self._add_day(self.window.start + timedelta(days=offset))

    def _dollars(self, largest: int = 10**12) -> Decimal:
        return Decimal(self._rng.randrange(1, largest)).scaleb(-10)

    def _add_day(self, day: date) -> None:
        def add(**given: Any) -> None:
            account = self._rng.choice((ACCOUNT, MEMBER))
            tags = self._rng.choice(({}, {"feature": "search"}, {"feature": "chat", "team": "b"}))
            self.api.lines.append(Line(day, account=account, tags=tags, **given))

        for usage_type in ("USE1-Claude4.6Sonnet-input-tokens", "USE1-Claude4.6Sonnet-output-tokens"):
            add(unblended=self._dollars(), usage_type=usage_type, quantity=Decimal(7), unit="1K tokens")
        gpu = {"service": "Amazon Elastic Compute Cloud - Compute", "usage_type": "BoxUsage:p5.48xlarge"}
        add(unblended=self._dollars(), quantity=Decimal(24), unit="Hrs", **gpu)
        demand, paid = self._dollars(), self._dollars(10**11)
        covered = {"amortized": paid, "record_type": "SavingsPlanCoveredUsage"}
        add(unblended=demand, quantity=Decimal(3), unit="Hrs", **gpu, **covered)
        service = gpu["service"]
        add(unblended=-demand, amortized=Decimal(0), service=service, record_type="SavingsPlanNegation")
        fee = {"service": "Savings Plans for AWS Compute usage", "record_type": "SavingsPlanRecurringFee"}
        add(unblended=self._dollars(10**11), amortized=self._dollars(10**9), **fee)
        add(unblended=self._dollars(10**11), service="Tax", record_type="Tax")
        add(unblended=-self._dollars(10**10), record_type="Credit")

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": self.api.url, "split_by": self._split_by}

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for line in self.api.lines:
            sums[line.day] += line.amount("NetAmortizedCost" if self.api.has_net_metrics else "AmortizedCost")
        return dict(sums)

    def empty(self) -> None:
        self.api.lines = []

    def add_unknown_field(self, name: str) -> None:
        self.api.unknown_fields[name] = "new"

    def deny(self) -> None:
        self.api.is_allowed = False
