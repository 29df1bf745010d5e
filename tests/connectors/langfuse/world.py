"""A folder of a Langfuse export, for the conformance suite."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.connectors.log_world import LogWorld


class LangfuseWorld(LogWorld):
    source_type = "langfuse"
    optional = frozenset({"parent_observation_id", "metadata", "version"})

    def record(self, n: int, moment: datetime) -> dict[str, Any]:
        fresh, cached, out = self.rng.randrange(1000), self.rng.randrange(1000), self.rng.randrange(1000)
        return {
            "id": f"obs-{n}",
            "trace_id": f"trace-{n // 2}",
            "type": "GENERATION",
            "parent_observation_id": None,
            "start_time": moment.strftime("%Y-%m-%d %H:%M:%S.%f"),
            "end_time": moment.strftime("%Y-%m-%d %H:%M:%S.%f"),
            "provided_model_name": "claude-sonnet-4-5-20250929",
            "usage_details": {
                "input": fresh,
                self.rng.choice(("cache_read_input_tokens", "input_cached_tokens")): cached,
                "output": out,
                "total": fresh + cached + out,
            },
            "total_cost": self.rng.choice((0.25, "0.25")),
            "tags": ["feature:support_chat", "beta"],
            "metadata": None,
            "user_id": f"user-{n % 5}",
            "level": "DEFAULT",
            "version": None,
        }
