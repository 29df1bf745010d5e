"""Asks a LiteLLM proxy for the spend logs of each day of a window, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from connectors.base import CheckResult, DeliveryRef, Payload, Window
from connectors.bucketed_reports import check_requests, split_days
from connectors.calls.log_source import log_payloads
from connectors.calls.projection import Projection
from connectors.calls.reading import moment
from connectors.calls.rules import Rejected
from connectors.documents import read_list
from connectors.errors import PagingError, PayloadError
from connectors.http_api import Cures, HttpApi, RetryPolicy
from connectors.litellm.parse import KNOWN, is_failure, read_spend_log

if TYPE_CHECKING:
    from connectors.litellm import LiteLlmOptions

LOGS = "/spend/logs/v2"
PAGE_SIZE = 100  # the most that the proxy accepts
PAGE_CAP = 100_000  # ten million requests a day
# Requests that come in while pages are read push rows to later pages, which are met there again: a page or a few.
STALE_PAGES = 50
MANY_ROWS = 20
CURES = Cures(
    credential="set api_key to the proxy's master key, or to an admin's key",
    permission="use the proxy's master key, or a key of a user with the role proxy_admin_viewer",
    address="check base_url: the proxy's own address, without /v1; spend logs need its database and version 1.6x",
)


class Fetcher:
    """The I/O of one configured proxy."""

    def __init__(self, source_name: str, options: LiteLlmOptions, retry: RetryPolicy | None) -> None:
        assert options.base_url is not None
        assert options.api_key is not None
        self._source_name = source_name
        self._options = options
        self._api = HttpApi(
            source_name=source_name,
            base_url=options.base_url,
            secret_headers={"Authorization": ("Bearer ", options.api_key)},
            cures=CURES,
            retry=retry,
        )

    def check(self) -> list[CheckResult]:
        day = date(2026, 1, 1)
        return check_requests(self._api, [("spend logs", LOGS, _query(day, 1), True)])

    def discover(self, window: Window) -> Iterator[DeliveryRef]:
        for part in split_days(window, 1):
            yield DeliveryRef(source_name=self._source_name, scope="", window=part, replaces="window")

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        """The projection of a day. Raises as `Session.get` does, PagingError where pages do not add up, and
        PayloadError where of many rows none can be read: a column has another name, and no call may go for it.
        Requests that failed do not count for that: before they are routed, they have no provider."""
        projection = self._options.projection()
        failures = 0

        def read(record: Mapping[str, Any], counts: Projection) -> Iterator[dict[str, Any]]:
            nonlocal failures
            failures += is_failure(record)
            yield from read_spend_log(record, counts, self._options.fields)

        yield from log_payloads(self._records(ref.window.start), read, KNOWN, projection)
        if projection.rejected_lines - failures >= MANY_ROWS and not projection.calls:
            raise PayloadError(
                f"none of {projection.rejected_lines} rows can be read: {'; '.join(projection.reasons())}",
                where=f"{self._source_name}: GET {LOGS} of {ref.window.start}",
                cure="nothing of it was loaded, and what stood stays: report it with the proxy's version",
            )

    def _records(self, day: date) -> Iterator[tuple[int, Mapping[str, Any]]]:
        where = f"{self._source_name}: GET {LOGS} of {day}"
        seen: set[str] = set()
        number, page_number, last, stale = 0, 1, 1, 0
        with self._api.session() as session:
            while page_number <= last:
                place = f"{where} page {page_number}"
                page = session.get(LOGS, _query(day, page_number), where=place)
                rows = read_list(page.document, "data", where=place)
                last = _page_count(page.document, place)
                if last > PAGE_CAP:
                    raise PagingError(
                        f"the proxy promises more pages than a day can hold: {last}", where=place, cure="report it"
                    )
                if page_number < last and not rows:
                    raise PagingError("a page between others is empty", where=place, cure="run again")
                new = [row for row in rows if _is_new(row, seen)]
                stale = 0 if new else stale + 1
                if stale == STALE_PAGES:
                    raise PagingError(
                        f"{stale} pages in a row say what others said, and the proxy promises more",
                        where=place,
                        cure="nothing of it was loaded; run again, and report it if it stays",
                    )
                for row in new:
                    if _is_of(day, row):
                        number += 1
                        yield number, row
                page_number += 1


def _is_new(row: Mapping[str, Any], seen: set[str]) -> bool:
    """Whether no page before has told of the request; it counts as told from then on."""
    request_id = row.get("request_id")
    if not isinstance(request_id, str):
        return True
    is_new = request_id not in seen
    seen.add(request_id)
    return is_new


def _page_count(document: Mapping[str, Any], where: str) -> int:
    count = document.get("total_pages")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise PayloadError("field 'total_pages': expected a whole number", where=where, cure="is it a LiteLLM proxy?")
    if document.get("total_is_capped"):
        raise PagingError("the proxy caps the number of rows", where=where, cure="export the table to files instead")
    return count


def _query(day: date, page: int) -> list[tuple[str, str]]:
    # Dates are UTC, with a blank and without a zone; the end is inclusive to the second, so the next midnight is
    # asked for and rows of other days are left out here.
    return [
        ("start_date", f"{day} 00:00:00"),
        ("end_date", f"{day + timedelta(days=1)} 00:00:00"),
        ("page", str(page)),
        ("page_size", str(PAGE_SIZE)),
    ]


def _is_of(day: date, row: Mapping[str, Any]) -> bool:
    try:
        start = moment(row.get("startTime"))
    except Rejected:
        return True  # the projection rejects and counts it
    return start is None or start.date() == day
