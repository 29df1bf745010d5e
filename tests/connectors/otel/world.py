"""A folder of a collector's files, for the conformance suite."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.connectors.log_world import LogWorld
from tests.connectors.otel.spans import line, span


class OtelWorld(LogWorld):
    source_type = "otel"
    formats = ("a.jsonl", "b.json", "sub/c.json.gz", "d.ndjson")

    def record(self, n: int, moment: datetime) -> dict[str, Any]:
        is_old = self.rng.random() < 0.5
        names = (
            ("gen_ai.system", "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens")
            if is_old
            else ("gen_ai.provider.name", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
        )
        values = ("openai", self.rng.randrange(1000), self.rng.randrange(1000))
        call = span(
            f"{n:016x}", moment, parent="f" * 16, trace=f"{n // 2:032x}", **dict(zip(names, values, strict=True))
        )
        return line(call, as_text=self.rng.random() < 0.5)

    def add_unknown_field(self, name: str) -> None:
        # Files hold what the exporter wrote: an attribute that nobody knows, on each span.
        for record in self._records:
            for resource in record["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    for one in scope["spans"]:
                        one["attributes"].append({"key": name, "value": {"stringValue": "new"}})
        self._write()
