"""Asks OpenRouter for the activity of each day of a window and hands over the answers as sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

from connectors.base import CheckResult, DeliveryRef, Payload, Window
from connectors.bucketed_reports import check_requests, split_days
from connectors.documents import read_list
from connectors.errors import PayloadError
from connectors.http_api import Cures, HttpApi, Page, RequestRefusedError, RetryPolicy, Session
from connectors.openrouter.parse import read_activity_day

if TYPE_CHECKING:
    from connectors.openrouter import OpenRouterOptions

ACTIVITY = "/activity"
DAYS_PER_DELIVERY = 30
CURES = Cures(
    credential="set management_key to a provisioning key that is still enabled",
    permission="use a provisioning (management) key: an inference key cannot read activity",
    address="check base_url: https://openrouter.ai/api/v1",
)


class Fetcher:
    """The I/O of one configured source."""

    def __init__(self, source_name: str, options: OpenRouterOptions, retry: RetryPolicy | None) -> None:
        self._source_name = source_name
        self._api = HttpApi(
            source_name=source_name,
            base_url=options.base_url,
            secret_headers={"Authorization": ("Bearer ", options.management_key)},
            cures=CURES,
            retry=retry,
        )

    def check(self) -> list[CheckResult]:
        return check_requests(self._api, [("activity", ACTIVITY, [], True)])

    def discover(self, window: Window) -> Iterator[DeliveryRef]:
        """Refs for the days that are given. Raises RequestRefusedError when none of them is.

        A day that is refused is no empty day: delivering it would take away what is known of it.
        """
        days = list(window.days())
        answers: dict[date, Page] = {}
        with self._api.session() as session:
            last = self._newest_given(session, days, answers)
            first = self._oldest_given(session, days[: last + 1], answers)
        note = "" if first == 0 else f"OpenRouter gives 30 days: nothing before {days[first]} can be read"
        for part in split_days(Window(days[first], days[last] + timedelta(days=1)), DAYS_PER_DELIVERY):
            detail = {"note": note, "answers": answers}
            yield DeliveryRef(source_name=self._source_name, scope="", window=part, replaces="window", detail=detail)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        """One answer per day, those of discover among them. Raises as `Session.get` does, PayloadError for a row of
        another day."""
        answers: dict[date, Page] = ref.detail.get("answers", {})
        with self._api.session() as session:
            for day in ref.window.days():
                page = answers.get(day) or self._ask(session, day)
                for row in read_list(page.document, "data", where=page.where):
                    found = read_activity_day(row, where=page.where)
                    if found != day:
                        raise PayloadError(
                            f"field 'date': {found} is not the day asked for",
                            where=page.where,
                            cure="nothing of it was loaded; run again, and report it if it stays",
                        )
                yield Payload(f"activity-{day.isoformat()}.json", [page.body])
        yield Payload("about.json", [json.dumps({"note": ref.detail.get("note", "")}).encode()])

    def _ask(self, session: Session, day: date) -> Page:
        where = f"{self._source_name}: GET {ACTIVITY} of {day.isoformat()}"
        try:
            return session.get(ACTIVITY, [("date", day.isoformat())], where=where)
        except RequestRefusedError as error:
            raise RequestRefusedError(
                error.what,
                where=where,
                cure="OpenRouter gives the last 30 completed days only: set since to one of them",
            ) from None

    def _is_given(self, session: Session, day: date, answers: dict[date, Page]) -> bool:
        try:
            answers[day] = self._ask(session, day)
        except RequestRefusedError:
            return False
        return True

    def _newest_given(self, session: Session, days: list[date], answers: dict[date, Page]) -> int:
        """Index of the last day that is over: not today, and near midnight perhaps not yesterday."""
        for last in range(len(days) - 1, max(len(days) - 3, 0), -1):
            if self._is_given(session, days[last], answers):
                return last
        last = max(len(days) - 3, 0)
        answers[days[last]] = self._ask(session, days[last])  # refused as well: the error of the whole window
        return last

    def _oldest_given(self, session: Session, days: list[date], answers: dict[date, Page]) -> int:
        """Index of the first day that is given; the last one is known to be. Few requests, by halves."""
        if len(days) == 1 or self._is_given(session, days[0], answers):
            return 0
        refused, given = 0, len(days) - 1
        while given - refused > 1:
            middle = (refused + given) // 2
            if self._is_given(session, days[middle], answers):
                given = middle
            else:
                refused = middle
        return given
