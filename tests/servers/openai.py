"""A stub of OpenAI's organization API: costs, usage, projects and their keys.

Written from the provider's OpenAPI document: buckets of a day, `has_more`/`next_page` cursors bound
to their query, limits that are refused and not clamped, Unix seconds.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tests.servers.json_api import JsonApi, RefusalError, Request, group_by

DAY_SECONDS = 86400
KEYS_KNOWN_SINCE = 1764979200
USAGE_GROUPS = {
    "completions": frozenset({"project_id", "user_id", "api_key_id", "model", "batch", "service_tier"}),
    "embeddings": frozenset({"project_id", "user_id", "api_key_id", "model"}),
    "moderations": frozenset({"project_id", "user_id", "api_key_id", "model"}),
    "images": frozenset({"project_id", "user_id", "api_key_id", "model", "size", "source"}),
    "audio_speeches": frozenset({"project_id", "user_id", "api_key_id", "model"}),
    "audio_transcriptions": frozenset({"project_id", "user_id", "api_key_id", "model"}),
    "vector_stores": frozenset({"project_id"}),
    "code_interpreter_sessions": frozenset({"project_id"}),
    "file_search_calls": frozenset({"project_id", "user_id", "api_key_id", "vector_store_id"}),
    "web_search_calls": frozenset({"project_id", "user_id", "api_key_id", "model", "context_level"}),
}
# What each kind says beside tokens and requests.
FIELDS = {
    "images": "images",
    "audio_speeches": "characters",
    "audio_transcriptions": "seconds",
    "vector_stores": "usage_bytes",
    "code_interpreter_sessions": "num_sessions",
    "file_search_calls": "num_requests",
    "web_search_calls": "num_requests",
}
WITHOUT_TOKENS = frozenset(FIELDS) - {"images"}


@dataclass(frozen=True)
class Cost:
    day: date
    dollars: Decimal
    line_item: str
    project_id: str
    api_key_id: str | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None


@dataclass(frozen=True)
class Usage:
    """One group of completions (or another kind) of a day; input_tokens includes the cached ones."""

    day: date
    model: str
    project_id: str
    api_key_id: str | None = None
    input_tokens: int = 0
    input_cached_tokens: int = 0
    input_cache_write_tokens: int = 0
    output_tokens: int = 0
    num_model_requests: int = 0
    batch: bool = False
    service_tier: str = "default"
    kind: str = "completions"
    quantity: int = 0  # images, characters, seconds, …
    hour: int = 0


@dataclass
class OpenAIStub(JsonApi):
    admin_key: str = "sk-admin-stub"
    costs: list[Cost] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    projects: dict[str, str] = field(default_factory=dict)
    api_keys: dict[str, dict[str, str]] = field(default_factory=dict)  # project → key id → name
    unknown_fields: dict[str, Any] = field(default_factory=dict)  # added to every result
    trailing_empty_pages: int = 0
    endless_pages: bool = False
    repeat_cursor: bool = False
    overlapping_pages: bool = False  # a page begins with the day that the one before it ended with
    usage_lookback_exceeded: bool = False
    hours_denied: bool = False
    served_endless: int = 0

    def answer(self, request: Request) -> Any:
        if request.headers.get("authorization") != f"Bearer {self.admin_key}":
            sent = request.headers.get("authorization", "")
            raise RefusalError(401, _error(f"Incorrect API key provided: {sent}", "invalid_api_key"))
        path = request.path.removeprefix("/v1")
        if path == "/organization/costs":
            return self._costs(request)
        kind = path.removeprefix("/organization/usage/")
        if kind in USAGE_GROUPS:
            return self._usage(request, kind)
        if path == "/organization/projects":
            return self._list(request, [{"id": key, "name": name} for key, name in self.projects.items()])
        if path.startswith("/organization/projects/") and path.endswith("/api_keys"):
            project = path.split("/")[3]
            owner = {"type": "user", "user": {"email": "someone@example.com"}}
            keys = self.api_keys.get(project, {}).items()
            items = [
                {"id": k, "name": n, "redacted_value": "sk-a...b", "last_used_at": self.rng.random(), "owner": owner}
                for k, n in keys
            ]
            return self._list(request, items)
        raise RefusalError(404, _error(f"Unknown request URL: {path}", "unknown_url"))

    def _costs(self, request: Request) -> dict[str, Any]:
        groups = group_by(request, frozenset({"project_id", "line_item", "api_key_id"}))
        start, end = self._days(request, largest_limit=180)
        if "api_key_id" in groups and _seconds(start) < KEYS_KNOWN_SINCE:
            raise RefusalError(400, _error("group_by api_key_id is not supported before 2025-12-06", "invalid_request"))
        buckets: dict[date, list[dict[str, Any]]] = {}
        sums: dict[tuple[date, tuple[Any, ...]], tuple[Decimal, Decimal | None, str | None]] = {}
        for cost in self.costs:
            if start <= cost.day < end:
                key = (cost.day, tuple(getattr(cost, g) if g in groups else None for g in COST_GROUPS))
                dollars, quantity, _ = sums.get(key, (Decimal(0), None, None))
                if cost.quantity is not None:
                    quantity = (quantity or Decimal(0)) + cost.quantity
                sums[key] = (dollars + cost.dollars, quantity, cost.quantity_unit)
        for (day, values), (dollars, quantity, unit) in sums.items():
            result = {
                "object": "organization.costs.result",
                "amount": {"value": self.write_decimal(dollars), "currency": "usd"},
                **dict(zip(COST_GROUPS, values, strict=True)),
                "quantity": None if quantity is None else self.write_decimal(quantity),
                "quantity_unit": unit,
                **self.unknown_fields,
            }
            optional = frozenset({*COST_GROUPS, "quantity", "quantity_unit"})
            buckets.setdefault(_seconds(day), []).append(self.vary_record(result, optional=optional))
        return self._page(request, _seconds(start), _seconds(end), buckets, default_limit=7)

    def _usage(self, request: Request, kind: str) -> dict[str, Any]:
        groups = group_by(request, USAGE_GROUPS[kind])
        if self.usage_lookback_exceeded:
            raise RefusalError(400, _error("start_time is too far in the past", "reporting_lookback_exceeded"))
        is_hourly = request.query.get("bucket_width") == ["1h"]
        if is_hourly and self.hours_denied:
            raise RefusalError(403, _error("hourly usage needs another scope", "forbidden"))
        step = 3600 if is_hourly else DAY_SECONDS
        start, end = self._seconds_asked(request, largest_limit=168 if is_hourly else 31)
        buckets: dict[int, list[dict[str, Any]]] = {}
        for usage in self.usage:
            begin = _seconds(usage.day) + (usage.hour * 3600 if is_hourly else 0)
            if usage.kind != kind or not start <= begin < end:
                continue
            result: dict[str, Any] = {
                "object": f"organization.usage.{kind}.result",
                "num_model_requests": usage.num_model_requests,
                "input_tokens": usage.input_tokens,
                **{g: getattr(usage, g, None) if g in groups else None for g in USAGE_GROUPS[kind]},
                **self.unknown_fields,
            }
            if kind == "completions":
                cached, written = usage.input_cached_tokens, usage.input_cache_write_tokens
                result |= {"output_tokens": usage.output_tokens, "input_cached_tokens": cached}
                result["input_cache_write_tokens"] = written or None
                if not self.vary or self.rng.random() < 0.5:
                    result["input_uncached_tokens"] = usage.input_tokens - cached - written
            if kind in FIELDS:
                result[FIELDS[kind]] = usage.quantity
            if kind in WITHOUT_TOKENS:
                del result["input_tokens"]
            optional = frozenset({*USAGE_GROUPS[kind], "input_cache_write_tokens"})
            buckets.setdefault(begin, []).append(self.vary_record(result, optional=optional))
        return self._page(request, start, end, buckets, default_limit=24 if is_hourly else 7, step=step)

    def _days(self, request: Request, *, largest_limit: int) -> tuple[date, date]:
        start, end = self._seconds_asked(request, largest_limit=largest_limit)
        return _day(start), _day(end)

    def _seconds_asked(self, request: Request, *, largest_limit: int) -> tuple[int, int]:
        widths = ["1d"] if largest_limit != 168 else ["1h"]
        try:
            start = int(request.query["start_time"][0])
            end = int(request.query["end_time"][0])
            limit = int(request.query.get("limit", ["7"])[0])
        except (KeyError, ValueError):
            raise RefusalError(400, _error("start_time is required", "invalid_request")) from None
        if not 1 <= limit <= largest_limit:
            raise RefusalError(400, _error(f"limit must be between 1 and {largest_limit}", "invalid_request"))
        if request.query.get("bucket_width", ["1d"]) != widths:
            raise RefusalError(400, _error("no such bucket_width here", "invalid_request"))
        return start, end

    def _page(
        self,
        request: Request,
        start: int,
        end: int,
        buckets: dict[int, list[dict[str, Any]]],
        *,
        default_limit: int,
        step: int = DAY_SECONDS,
    ) -> dict[str, Any]:
        query = {key: value for key, value in request.query.items() if key != "page"}
        offset = 0
        if "page" in request.query:
            cursor = json.loads(base64.urlsafe_b64decode(request.query["page"][0].removeprefix("page_")))
            if cursor["query"] != query:
                raise RefusalError(400, _error("the page cursor belongs to another query", "invalid_page"))
            offset = cursor["offset"]
        days = range(start, end, step)
        limit = int(request.query.get("limit", [str(default_limit)])[0])
        shown = days[offset : offset + self.pick_page_size(limit)]
        after = offset + len(shown)
        if offset >= len(days):  # a page behind the last day
            shown, after = range(end, end + step, step), offset + 1
        if self.overlapping_pages and len(shown) > 1 and after < len(days):
            after -= 1
        last = len(days) + self.trailing_empty_pages
        has_more = after < last or self.endless_pages or self.repeat_cursor
        if self.repeat_cursor and after >= last:
            after = offset
        data = [
            self.vary_record(
                {
                    "object": "bucket",
                    "start_time": day,
                    "end_time": day + step,
                    "results": buckets.get(day, []),
                }
            )
            for day in shown
        ]
        cursor_text = json.dumps({"offset": after, "query": query})
        next_page = "page_" + base64.urlsafe_b64encode(cursor_text.encode()).decode() if has_more else None
        return self.vary_record({"object": "page", "data": data, "has_more": has_more, "next_page": next_page})

    def _list(self, request: Request, items: list[dict[str, Any]]) -> dict[str, Any]:
        limit = int(request.query.get("limit", ["20"])[0])
        if not 1 <= limit <= 100:
            raise RefusalError(400, _error("limit must be between 1 and 100", "invalid_request"))
        ids = [item["id"] for item in items]
        offset = ids.index(request.query["after"][0]) + 1 if "after" in request.query else 0
        shown = items[offset : offset + self.pick_page_size(limit)]
        has_more = offset + len(shown) < len(items)
        last_id = shown[-1]["id"] if shown else None
        return {"object": "list", "data": shown, "first_id": None, "last_id": last_id, "has_more": has_more}

    def restate(self, day: date, factor: Decimal) -> None:
        """OpenAI corrects a day: every cost of it changes."""
        self.costs = [replace(c, dollars=c.dollars * factor) if c.day == day else c for c in self.costs]


COST_GROUPS = ("project_id", "line_item", "api_key_id")


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _day(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, tz=UTC).date()
