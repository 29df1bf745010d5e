"""A stub of OpenRouter's activity endpoint: one answer per day, thirty completed days, dollars."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from tests.servers.json_api import JsonApi, RefusalError, Request


@dataclass(frozen=True)
class Activity:
    day: date
    dollars: Decimal
    model: str = "openai/gpt-4.1"
    endpoint_id: str = "550e8400-e29b-41d4-a716-446655440000"
    provider_name: str = "OpenAI"
    byok_dollars: Decimal = Decimal(0)
    requests: int = 5
    prompt_tokens: int = 50
    completion_tokens: int = 125
    reasoning_tokens: int = 25


@dataclass
class OpenRouterStub(JsonApi):
    management_key: str = "sk-or-stub"
    activity: list[Activity] = field(default_factory=list)
    oldest_day: date = date.min
    newest_day: date = date.max
    unknown_fields: dict[str, Any] = field(default_factory=dict)

    def answer(self, request: Request) -> Any:
        if request.headers.get("authorization") != f"Bearer {self.management_key}":
            raise RefusalError(401, {"error": {"code": 401, "message": "Missing Authentication header"}})
        if request.path != "/api/v1/activity":
            raise RefusalError(404, {"error": {"code": 404, "message": "Not Found"}})
        rows = self.activity
        if "date" in request.query:
            day = date.fromisoformat(request.query["date"][0])
            if not self.oldest_day <= day <= self.newest_day:
                raise RefusalError(400, {"error": {"code": 400, "message": "Date must be within the last 30 days"}})
            rows = [row for row in rows if row.day == day]
        return {"data": [self._row(row) for row in rows]}

    def _row(self, row: Activity) -> dict[str, Any]:
        day = row.day.isoformat()
        return self.vary_record(
            {
                "date": f"{day} 00:00:00" if self.vary and self.rng.random() < 0.3 else day,
                "model": row.model,
                "model_permaslug": f"{row.model}-2025-04-14",
                "endpoint_id": row.endpoint_id,
                "provider_name": row.provider_name,
                "usage": self.write_decimal(row.dollars),
                "byok_usage_inference": self.write_decimal(row.byok_dollars),
                "requests": row.requests,
                "prompt_tokens": row.prompt_tokens,
                "completion_tokens": row.completion_tokens,
                "reasoning_tokens": row.reasoning_tokens,
                **self.unknown_fields,
            }
        )
