"""A LiteLLM proxy's /spend/logs/v2, from its documentation: pages by number, dates in UTC with a blank."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.servers.json_api import JsonApi, RefusalError, Request

KEY = "sk-litellm-master-canary"


def spend_log(n: int, moment: datetime, rng: random.Random) -> dict[str, Any]:
    """A row of LiteLLM_SpendLogs. prompt_tokens include what the cache gave and took."""
    cached, written, fresh = rng.randrange(500), rng.randrange(50), rng.randrange(1000)
    usage = {
        "prompt_tokens": cached + written + fresh,
        "completion_tokens": 40 + n,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "completion_tokens_details": {"reasoning_tokens": 10},
    }
    return {
        "request_id": f"chatcmpl-{n}",
        "call_type": rng.choice(("acompletion", "aresponses")),
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": Decimal(n) / 1000,
        "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"],
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"],
        "startTime": moment.isoformat(),
        "endTime": moment.isoformat(),
        "model": rng.choice(("gpt-5-mini", "openai/gpt-5-mini")),
        "custom_llm_provider": "openai",
        "metadata": {"usage_object": usage, "spend_logs_metadata": {"task_id": f"t-{n // 2}"}, "status": "success"},
        "cache_hit": rng.choice(("False", "", None)),
        "request_tags": ["User-Agent: curl", "feature:support_chat"],
        "end_user": f"user-{n % 5}",
        "session_id": f"s-{n}",
        "status": "success",
        "messages": {},
        "response": {},
    }


@dataclass
class LiteLlmStub(JsonApi):
    rows: list[dict[str, Any]] = field(default_factory=list)
    is_denied: bool = False
    page_limit: int = 100

    def answer(self, request: Request) -> Any:
        if request.headers.get("authorization") != f"Bearer {KEY}" or self.is_denied:
            raise RefusalError(401, {"error": {"message": "Authentication Error, Invalid proxy server token passed"}})
        if request.path != "/spend/logs/v2":
            raise RefusalError(404, {"detail": "Not Found"})
        query = {name: values[0] for name, values in request.query.items()}
        try:
            start, end = (datetime.fromisoformat(query[name]) for name in ("start_date", "end_date"))
            if "T" in query["start_date"] + query["end_date"]:
                raise ValueError("the proxy wants a blank")
        except (KeyError, ValueError):
            raise RefusalError(400, {"error": {"message": "Invalid date format"}}) from None
        size = int(query.get("page_size", "50"))
        if not 1 <= size <= 100:
            raise RefusalError(422, {"detail": "page_size must be between 1 and 100"})
        found = [
            row for row in self.rows if start <= datetime.fromisoformat(row["startTime"]).replace(tzinfo=None) <= end
        ]
        found.sort(key=lambda row: row["startTime"], reverse=True)
        size = min(size, self.page_limit) if not self.vary else random.Random(len(found)).randint(1, size)
        page = int(query.get("page", "1"))
        rows = [
            self.vary_record(
                {**row, "spend": self.write_decimal(row["spend"])}, optional=frozenset({"cache_hit", "session_id"})
            )
            for row in found[(page - 1) * size : page * size]
        ]
        return {
            "data": rows,
            "total": len(found),
            "page": page,
            "page_size": size,
            "total_pages": -(-len(found) // size),
        }
