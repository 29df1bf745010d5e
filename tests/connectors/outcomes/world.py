"""A folder of outcomes, for the conformance suite."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.connectors.log_world import LogWorld


class OutcomesWorld(LogWorld):
    source_type = "outcomes"

    def record(self, n: int, moment: datetime) -> dict[str, Any]:
        time = moment.isoformat()
        return {
            "task_id": self.rng.choice((f"t-{n}", n)),
            "outcome": self.rng.choice(("resolved", "escalated")),
            "time": self.rng.choice((time, time.replace("+00:00", "Z"), time.replace("+00:00", ""))),
        }
