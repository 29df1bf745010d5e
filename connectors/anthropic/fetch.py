"""Asks Anthropic's organization API for one window of days and hands over its pages as sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from connectors.anthropic.parse import regions_decide
from connectors.base import CheckResult, Payload, Window
from connectors.bucketed_reports import check_requests, list_items, report_pages
from connectors.documents import read_list
from connectors.errors import ConfigError
from connectors.http_api import Cures, HttpApi, Page, Query, RequestRefusedError, RetryPolicy, Session

if TYPE_CHECKING:
    from connectors.anthropic import AnthropicOptions

# A page holds at most 31 daily buckets. One is left free for `_cost_pages`.
DAYS_PER_DELIVERY = 30
COST = "/v1/organizations/cost_report"
USAGE = "/v1/organizations/usage_report/messages"
WORKSPACES = "/v1/organizations/workspaces"
API_KEYS = "/v1/organizations/api_keys"
COST_GROUPS = ("workspace_id", "description")
# Usage takes at most five dimensions, and the two reports share five beside the key. The report by
# context window is always asked for; the one by region too where regions tell costs apart.
USAGE_GROUPS = ("api_key_id", "workspace_id", "model", "service_tier")
CHECK_DAY = date(2025, 9, 1)  # long settled; the answer may be empty
CURES = Cures(
    credential="set admin_key to an organization admin key (sk-ant-admin…) that is still active",
    permission="use an admin key: workspace API keys and individual accounts cannot read the organization's reports",
    address="check base_url: https://api.anthropic.com, or a gateway that passes /v1/organizations on",
)


class Fetcher:
    """The I/O of one configured source. Names of workspaces and keys are asked for once per run."""

    def __init__(self, source_name: str, options: AnthropicOptions, retry: RetryPolicy | None) -> None:
        self._api = HttpApi(
            source_name=source_name,
            base_url=options.base_url,
            secret_headers={"x-api-key": ("", options.admin_key)},
            headers={"anthropic-version": "2023-06-01"},
            cures=CURES,
            retry=retry,
        )
        self._lock = Lock()
        self._names: dict[str, Any] | None = None

    def fetch(self, window: Window) -> Iterator[Payload]:
        """Costs, usage, then names and the window. Raises as `Session.get` and `Session.pages` do."""
        with self._api.session() as session:
            needs_regions = False
            for number, page in enumerate(self._cost_pages(session, window), 1):
                for bucket in read_list(page.document, "data", where=page.where):
                    needs_regions |= regions_decide(read_list(bucket, "results", where=page.where))
                yield Payload(f"cost-{number:04d}.json", [page.body])
            for fifth in ("context_window", "inference_geo") if needs_regions else ("context_window",):
                query = _query(window, [*USAGE_GROUPS, fifth])
                pages = report_pages(session, USAGE, query, window, day_field="starting_at")
                for number, page in enumerate(pages, 1):
                    yield Payload(f"usage-by-{fifth}-{number:04d}.json", [page.body])
            about = {**self._read_names(session), "window": [window.start.isoformat(), window.end.isoformat()]}
            yield Payload("about.json", [json.dumps(about, sort_keys=True).encode()])

    def check(self) -> list[CheckResult]:
        """Costs, usage and names, each asked for a day that is long settled."""
        day = Window(CHECK_DAY, CHECK_DAY + timedelta(days=1))
        return check_requests(
            self._api,
            [
                ("costs", COST, _query(day, COST_GROUPS), True),
                ("usage", USAGE, _query(day, USAGE_GROUPS), True),
                ("names of workspaces", WORKSPACES, [("limit", "1")], False),
                ("names of API keys", API_KEYS, [("limit", "1")], False),
            ],
        )

    def _cost_pages(self, session: Session, window: Window) -> list[Page]:
        try:
            return self._ask_costs(session, window)
        except RequestRefusedError:
            if (window.end - window.start).days > 1:
                raise
            # A report that starts less than a day ago is refused: ask for one day more. Parsing
            # leaves out what lies before the window.
            return self._ask_costs(session, Window(window.start - timedelta(days=1), window.end))

    def _ask_costs(self, session: Session, window: Window) -> list[Page]:
        query = _query(window, COST_GROUPS)
        return list(report_pages(session, COST, query, window, day_field="starting_at"))

    def _read_names(self, session: Session) -> dict[str, Any]:
        """Ids and names only; and no name is worth a bill, so what may not be read becomes a note."""
        with self._lock:
            if self._names is None:
                missing: list[str] = []
                names: dict[str, Any] = {"missing": missing}
                for kind, path, query in (
                    ("workspaces", WORKSPACES, [("include_archived", "true")]),
                    ("api_keys", API_KEYS, []),
                ):
                    try:
                        items = list_items(session, path, query, cursor_param="after_id")
                        names[kind] = {item["id"]: item["name"] for item in items if item.get("name")}
                    except ConfigError as error:
                        names[kind] = {}
                        missing.append(f"{kind.replace('_', ' ')}: {error.what}")
                self._names = names
            return self._names


def _query(window: Window, groups: Iterable[str]) -> Query:
    return [
        ("starting_at", f"{window.start.isoformat()}T00:00:00Z"),
        ("ending_at", f"{window.end.isoformat()}T00:00:00Z"),
        ("bucket_width", "1d"),
        ("limit", str((window.end - window.start).days)),
        *(("group_by[]", group) for group in groups),
    ]
