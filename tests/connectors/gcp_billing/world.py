"""A standard export with a week of charges in one monthly partition, for the conformance suite."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.connectors.gcp_billing.export_rows import TABLE, net, row
from tests.servers.bigquery import STANDARD, F, new_dataset

CREDITS = ("PROMOTION", "DISCOUNT", "FREE_TRIAL", "COMMITTED_USAGE_DISCOUNT")


class GcpBillingWorld(World):
    source_type = "gcp_billing"
    secrets = ("/keys/canary-key-file-91b2.json",)
    reads_all_days = True  # a partition speaks of days outside the window, and comes whole

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self._dataset = new_dataset()
        self._schema = list(STANDARD)
        # `trendbreak check` asks how old the newest export is, by the server's clock.
        self._exported = datetime.now(UTC) - timedelta(hours=2)
        self._rows = [self._row(rng, day, number) for day in range(2, 9) for number in range(6)]
        self._write()

    @staticmethod
    def _row(rng: random.Random, day: int, number: int) -> dict[str, Any]:
        amount = Decimal(rng.randrange(-(10**8), 10**12)).scaleb(-rng.choice((9, 10, 12)))
        credits = [
            (kind, float(Decimal(-rng.randrange(10**9)).scaleb(-10)))
            for kind in rng.sample(
                ("PROMOTION", "DISCOUNT", "FREE_TRIAL", "COMMITTED_USAGE_DISCOUNT"), rng.randint(0, 3)
            )
        ]
        made = row(
            f"2026-01-{day:02d}T{rng.randrange(24):02d}:00:00",
            rng.choice((float, str))(amount),
            credits=credits,
            labels={"feature": f"f{number % 2}", "team": "x"} if rng.random() < 0.7 else {},
            project=rng.choice(("acme-search", None)),
        )
        for optional in ("system_labels", "currency_conversion_rate", "labels", "location"):
            if rng.random() < 0.3:
                del made[optional]
        items = list(made.items())
        rng.shuffle(items)
        return dict(items)

    def _write(self) -> None:
        self._dataset.client.delete_table(self._dataset.path(TABLE), not_found_ok=True)
        self._dataset.create(TABLE, self._schema, partition="usage_start_time", unit="MONTH")
        self._dataset.load(TABLE, [{**one, "export_time": self._exported.isoformat()} for one in self._rows])

    @property
    def options(self) -> dict[str, Any]:
        return self._dataset.options(credentials_file=self.secrets[0])

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for one in self._rows:
            sums[datetime.fromisoformat(one["usage_start_time"]).date()] += net([one])
        return dict(sums)

    def empty(self) -> None:
        self._dataset.delete(TABLE)

    def add_unknown_field(self, name: str) -> None:
        self._schema.append(F(name))
        self._rows = [{**one, name: "new"} for one in self._rows]
        self._exported += timedelta(hours=1)
        self._write()

    def deny(self) -> None:
        self._dataset.drop()
