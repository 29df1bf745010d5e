"""Asks OpenAI's organization API for one window of days and hands over its pages as sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Literal

from connectors.base import CheckResult, Payload, Window
from connectors.bucketed_reports import check_requests, list_items, report_pages, split_days
from connectors.documents import read_list
from connectors.errors import ConfigError
from connectors.http_api import (
    Cures,
    HttpApi,
    NotFoundError,
    Page,
    Query,
    RequestRefusedError,
    RetryPolicy,
    Session,
    has_more_cursor,
)

if TYPE_CHECKING:
    from connectors.openai import OpenAIOptions

UsageKind = Literal[
    "completions",
    "embeddings",
    "moderations",
    "images",
    "audio_speeches",
    "audio_transcriptions",
    "vector_stores",
    "code_interpreter_sessions",
    "file_search_calls",
    "web_search_calls",
]

# A request holds at most 31 daily buckets of usage (180 of costs), and refuses a higher limit.
DAYS_PER_DELIVERY = 31
# Costs grouped by API key are refused for a window that starts before this day (1764979200).
KEYS_KNOWN_SINCE = date(2025, 12, 6)

COSTS = "/organization/costs"
PROJECTS = "/organization/projects"
GROUP_BY: dict[UsageKind, tuple[str, ...]] = {
    "completions": ("project_id", "api_key_id", "model", "batch", "service_tier"),
    "embeddings": ("project_id", "api_key_id", "model"),
    "moderations": ("project_id", "api_key_id", "model"),
    "images": ("project_id", "api_key_id", "model"),
    "audio_speeches": ("project_id", "api_key_id", "model"),
    "audio_transcriptions": ("project_id", "api_key_id", "model"),
    "vector_stores": ("project_id",),
    "code_interpreter_sessions": ("project_id",),
    "file_search_calls": ("project_id", "api_key_id"),
    "web_search_calls": ("project_id", "api_key_id", "model"),
}
HOUR = timedelta(hours=1)
HOURS_PER_PAGE = 168  # the most that one page of hourly usage holds
CURES = Cures(
    credential="set admin_key to an organization admin key (sk-admin-…) that is neither revoked nor expired",
    permission="give the admin key the scopes api.usage.read and api.management.read",
    address="check base_url: https://api.openai.com/v1, or a gateway that passes /organization on",
)


def split_window(window: Window) -> list[Window]:
    """Parts of at most 31 days, none of which straddles the day since when keys are known."""
    return split_days(window, DAYS_PER_DELIVERY, cut=KEYS_KNOWN_SINCE)


class Fetcher:
    """The I/O of one configured source. Names of projects and keys are asked for once per run."""

    def __init__(self, source_name: str, options: OpenAIOptions, retry: RetryPolicy | None) -> None:
        self._options = options
        self._api = HttpApi(
            source_name=source_name,
            base_url=options.base_url,
            secret_headers={"Authorization": ("Bearer ", options.admin_key)},
            headers={"OpenAI-Organization": options.organization} if options.organization else None,
            cures=CURES,
            retry=retry,
        )
        self._lock = Lock()
        self._project_names: dict[str, str] | None = None
        self._key_names: dict[str, dict[str, str]] = {}
        self._missing: dict[str, str] = {}  # list → why it was refused

    def fetch(self, window: Window) -> Iterator[Payload]:
        """Costs, each kind of usage, then names. Raises as `Session.get` and `Session.pages` do."""
        used: set[tuple[str, str | None]] = set()
        with self._api.session() as session:
            pages = report_pages(session, COSTS, self._costs_query(window), window, day_field="start_time")
            for number, page in enumerate(pages, 1):
                used |= _named_in(page)
                yield Payload(f"costs-{number:04d}.json", [page.body])
            for kind in self._options.usage:
                yield from self._usage(session, kind, window)
            yield Payload("names.json", [self._names(session, used)])

    def fetch_hours(self, since: datetime, until: datetime) -> Iterator[Payload]:
        """Each kind of usage by the hour; a kind that is refused is landed as such."""
        hours = int((until - since) / HOUR)
        with self._api.session() as session:
            for kind in self._options.usage:
                query = [
                    ("start_time", str(int(since.timestamp()))),
                    ("end_time", str(int(until.timestamp()))),
                    ("bucket_width", "1h"),
                    ("limit", str(min(hours, HOURS_PER_PAGE))),
                    *(("project_ids[]", project) for project in self._options.project_ids),
                    *(("group_by[]", group) for group in GROUP_BY[kind]),
                ]
                pages = session.pages(
                    _usage_path(kind),
                    query,
                    cursor_param="page",
                    next_cursor=has_more_cursor("next_page"),
                    page_cap=2 * hours + 10,
                )
                yield from self._kept_or_refused(kind, f"hours-{kind}", pages)

    def check(self) -> list[CheckResult]:
        """Costs, usage and names, each asked for one day that is long settled."""
        day = Window(KEYS_KNOWN_SINCE, KEYS_KNOWN_SINCE + timedelta(days=1))
        asked = [("costs", COSTS, self._costs_query(day), True)]
        for kind in self._options.usage:
            asked.append((f"usage of {kind}", _usage_path(kind), self._usage_query(kind, day), False))
        asked.append(("names of projects", PROJECTS, [("limit", "1")], False))
        return check_requests(self._api, asked)

    def _costs_query(self, window: Window) -> Query:
        groups = ["project_id", "line_item"] + (["api_key_id"] if window.start >= KEYS_KNOWN_SINCE else [])
        return [*self._days(window), *(("group_by[]", group) for group in groups)]

    def _usage_query(self, kind: UsageKind, window: Window) -> Query:
        return [*self._days(window), *(("group_by[]", group) for group in GROUP_BY[kind])]

    def _days(self, window: Window) -> Query:
        return [
            ("start_time", str(_unix_seconds(window.start))),
            ("end_time", str(_unix_seconds(window.end))),
            ("bucket_width", "1d"),
            ("limit", str((window.end - window.start).days)),
            *(("project_ids[]", project) for project in self._options.project_ids),
        ]

    def _usage(self, session: Session, kind: UsageKind, window: Window) -> Iterator[Payload]:
        query = self._usage_query(kind, window)
        pages = report_pages(session, _usage_path(kind), query, window, day_field="start_time")
        yield from self._kept_or_refused(kind, f"usage-{kind}", pages)

    def _kept_or_refused(self, kind: UsageKind, prefix: str, pages: Iterator[Page]) -> Iterator[Payload]:
        number = 0
        try:
            for number, page in enumerate(pages, 1):
                yield Payload(f"{prefix}-{number:04d}.json", [page.body])
        except (RequestRefusedError, NotFoundError) as error:
            if number:
                raise  # half an answer is no answer
            # `reporting_lookback_exceeded` for old days, or a kind that a gateway does not pass on.
            # The money is in the costs; that its meter is missing is landed too, and becomes a note.
            refusal = json.dumps({"kind": kind, "refused": error.what}, sort_keys=True)
            yield Payload(f"unavailable-{kind}.json", [refusal.encode()])

    def _names(self, session: Session, used: set[tuple[str, str | None]]) -> bytes:
        """Names of the projects and keys that the window's costs name, and of no others.

        A project made today must not make news of last month. Ids and names only: the provider's lists also
        hold people's e-mail addresses and pieces of keys.
        """
        wanted = {project for project, _ in used}
        keyed = sorted({project for project, key in used if key}) if self._options.api_key_names else []
        with self._lock:
            if self._project_names is None:
                self._project_names = self._list_names(session, "projects", PROJECTS, [("include_archived", "true")])
            for project in keyed:
                if project not in self._key_names:
                    path = f"{PROJECTS}/{project}/api_keys"
                    self._key_names[project] = self._list_names(session, f"API keys of {project}", path, [])
            lists = ["projects", *(f"API keys of {project}" for project in keyed)]
            names = {
                "projects": {id_: name for id_, name in self._project_names.items() if id_ in wanted},
                "api_keys": {
                    key: self._key_names[project][key]
                    for project, key in used
                    if project in keyed and key in self._key_names[project]
                },
                "missing": [f"{one}: {self._missing[one]}" for one in lists if one in self._missing],
            }
            return json.dumps(names, sort_keys=True).encode()

    def _list_names(self, session: Session, title: str, path: str, query: Query) -> dict[str, str]:
        """id → name; empty where the list is refused, which is remembered with its reason."""
        try:
            items = list(list_items(session, path, query, cursor_param="after"))
        except ConfigError as error:
            self._missing[title] = error.what
            return {}
        return {item["id"]: item["name"] for item in items if item.get("name")}


def _usage_path(kind: UsageKind) -> str:
    return f"/organization/usage/{kind}"


def _unix_seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _named_in(page: Page) -> set[tuple[str, str | None]]:
    """(project, API key or None) of every result."""
    return {
        (result["project_id"], key if isinstance(key := result.get("api_key_id"), str) else None)
        for bucket in read_list(page.document, "data", where=page.where)
        for result in read_list(bucket, "results", where=page.where)
        if isinstance(result.get("project_id"), str)
    }
