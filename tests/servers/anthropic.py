"""A stub of Anthropic's organization API: cost report, usage report, workspaces and API keys.

Written from the provider's reference: RFC 3339 buckets of a day, `amount` in **cents** as a decimal
string, at most five group_by, cursors bound to their query, Priority Tier absent from costs.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.servers.json_api import JsonApi, RefusalError, Request, group_by

USAGE_GROUPS = (
    "account_id",
    "api_key_id",
    "context_window",
    "inference_geo",
    "model",
    "service_account_id",
    "service_tier",
    "speed",
    "workspace_id",
)
DESCRIBED = ("description", "cost_type", "model", "service_tier", "context_window", "token_type", "inference_geo")
LABELS = {
    "uncached_input_tokens": "Input Tokens",
    "cache_read_input_tokens": "Input Tokens, Cache Read",
    "cache_creation.ephemeral_5m_input_tokens": "Input Tokens, Cache Write",
    "cache_creation.ephemeral_1h_input_tokens": "Input Tokens, Cache Write (1h)",
    "output_tokens": "Output Tokens",
    "web_search_requests": "Web Search Usage",
}


@dataclass(frozen=True)
class Use:
    """What one key did on one day: its meters, and what each costs per unit in cents."""

    day: date
    api_key_id: str | None
    workspace_id: str | None
    meters: Mapping[str, int]
    model: str = "claude-sonnet-4-5-20250929"
    service_tier: str = "standard"
    context_window: str = "0-200k"
    inference_geo: str = "global"


@dataclass(frozen=True)
class Charge:
    """A cost that no usage report shows: code execution, a correction."""

    day: date
    workspace_id: str | None
    cents: Decimal
    cost_type: str = "code_execution"
    description: str = "Code Execution Usage"


@dataclass
class AnthropicStub(JsonApi):
    admin_key: str = "sk-ant-admin-stub"
    uses: list[Use] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    cents_per_unit: dict[str, Decimal] = field(
        default_factory=lambda: {
            "uncached_input_tokens": Decimal("0.0003"),
            "cache_read_input_tokens": Decimal("0.00003"),
            "cache_creation.ephemeral_5m_input_tokens": Decimal("0.000375"),
            "cache_creation.ephemeral_1h_input_tokens": Decimal("0.0006"),
            "output_tokens": Decimal("0.0015"),
            "web_search_requests": Decimal("1"),
        }
    )
    workspaces: dict[str, str] = field(default_factory=dict)
    api_keys: dict[str, str] = field(default_factory=dict)
    unknown_fields: dict[str, Any] = field(default_factory=dict)
    trailing_empty_pages: int = 0
    endless_pages: bool = False
    repeat_cursor: bool = False
    overlapping_pages: bool = False  # a page begins with the day that the one before it ended with
    newest_day: date | None = None  # a cost report that starts on or after it is refused

    def cost_cents(self) -> list[dict[str, Any]]:
        """Every line of the cost report, at its finest: what the groups are summed from."""
        lines: list[dict[str, Any]] = []
        for use in self.uses:
            if use.service_tier == "priority":
                continue
            for meter, count in use.meters.items():
                is_search = meter == "web_search_requests"
                factor = Decimal("1.1") if use.inference_geo == "us" else Decimal(1)
                lines.append(
                    {
                        "day": use.day,
                        "workspace_id": use.workspace_id,
                        "cents": self.cents_per_unit[meter] * count * factor,
                        "description": LABELS[meter] if is_search else f"{use.model} Usage - {LABELS[meter]}",
                        "cost_type": "web_search" if is_search else "tokens",
                        "token_type": None if is_search else meter,
                        **{
                            name: None if is_search else getattr(use, name)
                            for name in ("model", "service_tier", "context_window", "inference_geo")
                        },
                    }
                )
        for charge in self.charges:
            lines.append(
                {
                    **dict.fromkeys(DESCRIBED),
                    "day": charge.day,
                    "workspace_id": charge.workspace_id,
                    "cents": charge.cents,
                    "description": charge.description,
                    "cost_type": charge.cost_type,
                }
            )
        return lines

    def answer(self, request: Request) -> Any:
        if request.headers.get("x-api-key") != self.admin_key:
            raise RefusalError(401, _error("authentication_error", "invalid x-api-key"))
        if request.headers.get("anthropic-version") != "2023-06-01":
            raise RefusalError(400, _error("invalid_request_error", "anthropic-version: header is required"))
        if request.path == "/v1/organizations/cost_report":
            return self._cost_report(request)
        if request.path == "/v1/organizations/usage_report/messages":
            return self._usage_report(request)
        if request.path == "/v1/organizations/workspaces":
            return self._list(request, self.workspaces)
        if request.path == "/v1/organizations/api_keys":
            return self._list(request, self.api_keys)
        raise RefusalError(404, _error("not_found_error", "Not found"))

    def _cost_report(self, request: Request) -> dict[str, Any]:
        groups = group_by(request, frozenset({"workspace_id", "description"}))
        start, end = self._days(request)
        if self.newest_day is not None and start >= self.newest_day:
            raise RefusalError(400, _error("invalid_request_error", "starting_at: must be more than 24 hours ago"))
        sums: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
        for line in self.cost_cents():
            if start <= line["day"] < end:
                workspace = line["workspace_id"] if "workspace_id" in groups else None
                described = tuple(line[name] if "description" in groups else None for name in DESCRIBED)
                sums[line["day"], workspace, *described] += line["cents"]
        buckets: dict[date, list[dict[str, Any]]] = defaultdict(list)
        for (day, workspace, *described), cents in sums.items():
            # Documented as a decimal string; the manners of JSON numbers are left to other stubs.
            result = {"currency": "USD", "amount": format(cents, "f"), "workspace_id": workspace}
            result |= dict(zip(DESCRIBED, described, strict=True)) | self.unknown_fields
            buckets[day].append(self.vary_record(result, optional=frozenset({"workspace_id", *DESCRIBED})))
        return self._page(request, start, end, buckets)

    def _usage_report(self, request: Request) -> dict[str, Any]:
        groups = group_by(request, frozenset(USAGE_GROUPS))
        if len(groups) > 5:
            raise RefusalError(400, _error("invalid_request_error", "group_by: at most 5 dimensions"))
        start, end = self._days(request)
        sums: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for use in self.uses:
            if start <= use.day < end:
                key = (use.day, *(getattr(use, name, None) if name in groups else None for name in USAGE_GROUPS))
                for meter, count in use.meters.items():
                    sums[key][meter] += count
        buckets: dict[date, list[dict[str, Any]]] = defaultdict(list)
        for (day, *values), meters in sums.items():
            created = {
                name: meters.get(f"cache_creation.{name}", 0)
                for name in ("ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens")
            }
            result: dict[str, Any] = {
                "uncached_input_tokens": meters.get("uncached_input_tokens", 0),
                "cache_creation": self.vary_record(created),
                "cache_read_input_tokens": meters.get("cache_read_input_tokens", 0),
                "output_tokens": meters.get("output_tokens", 0),
                "server_tool_use": {"web_search_requests": meters.get("web_search_requests", 0)},
                **dict(zip(USAGE_GROUPS, values, strict=True)),
                **self.unknown_fields,
            }
            buckets[day].append(self.vary_record(result, optional=frozenset(USAGE_GROUPS)))
        return self._page(request, start, end, buckets)

    def _days(self, request: Request) -> tuple[date, date]:
        try:
            start = datetime.fromisoformat(request.query["starting_at"][0])
            end = datetime.fromisoformat(request.query["ending_at"][0])
            limit = int(request.query.get("limit", ["7"])[0])
        except (KeyError, ValueError):
            raise RefusalError(400, _error("invalid_request_error", "starting_at: field required")) from None
        if not 1 <= limit <= 31:
            raise RefusalError(400, _error("invalid_request_error", "limit: between 1 and 31"))
        return start.date(), end.date()

    def _page(
        self, request: Request, start: date, end: date, buckets: Mapping[date, list[dict[str, Any]]]
    ) -> dict[str, Any]:
        query = {key: value for key, value in request.query.items() if key != "page"}
        offset = 0
        if "page" in request.query:
            cursor = json.loads(base64.urlsafe_b64decode(request.query["page"][0].removeprefix("page_")))
            if cursor["query"] != query:
                raise RefusalError(400, _error("invalid_request_error", "page: belongs to another query"))
            offset = cursor["offset"]
        days = [start + timedelta(days=n) for n in range((end - start).days)]
        shown = days[offset : offset + self.pick_page_size(int(request.query.get("limit", ["7"])[0]))]
        after = offset + max(1, len(shown))
        shown = shown or [end]  # a page behind the last day
        if self.overlapping_pages and len(shown) > 1 and after < len(days):
            after -= 1
        last = len(days) + self.trailing_empty_pages
        has_more = after < last or self.endless_pages or self.repeat_cursor
        if self.repeat_cursor and after >= last:
            after = offset
        data = [
            self.vary_record(
                {
                    "starting_at": f"{day.isoformat()}T00:00:00Z",
                    "ending_at": f"{(day + timedelta(days=1)).isoformat()}T00:00:00Z",
                    "results": buckets.get(day, []),
                }
            )
            for day in shown
        ]
        text = json.dumps({"offset": after, "query": query})
        next_page = "page_" + base64.urlsafe_b64encode(text.encode()).decode() if has_more else None
        return self.vary_record({"data": data, "has_more": has_more, "next_page": next_page})

    def _list(self, request: Request, names: Mapping[str, str]) -> dict[str, Any]:
        ids = list(names)
        offset = ids.index(request.query["after_id"][0]) + 1 if "after_id" in request.query else 0
        shown = ids[offset : offset + self.pick_page_size(int(request.query.get("limit", ["20"])[0]))]
        data = [{"id": i, "name": names[i], "created_by": {"id": "user_1", "type": "user"}} for i in shown]
        return {
            "data": data,
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
            "has_more": offset + len(shown) < len(ids),
        }


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}
