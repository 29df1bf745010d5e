"""Source type `aws_cost_explorer`: daily history from AWS Cost Explorer, until an export takes over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from connectors import base
from connectors.aws_cost_explorer.fetch import Fetcher
from connectors.aws_cost_explorer.parse import parse_files
from connectors.aws_sessions import AwsOptions
from connectors.base import CheckResult, DeliveryRef, FetchPrice, Parsed, Payload, Window
from connectors.bucketed_reports import split_days
from connectors.http_api import RetryPolicy

# Cost Explorer keeps days for 14 months, counted back from today.
MONTHS_KEPT = 14
# One request may hold all 14 months. A quarter bounds what is paid again, and kept in memory, when one fails.
DAYS_PER_DELIVERY = 92
REQUEST_USD = Decimal("0.01")


class AwsCostExplorerOptions(AwsOptions):
    """`split_by`: a third dimension, "account" or "tag:<cost allocation tag>", at one more request per value.

    `most_split_values`: how many values get a request of their own, the costliest first; the others share one.
    `billing_account_id`: whose bill it is; without it, the account of the credentials, as STS tells it.
    """

    split_by: Annotated[str, Field(pattern=r"^(account|tag:.*\S.*)$")] | None = None
    most_split_values: int = Field(default=40, ge=1, le=1000)
    billing_account_id: Annotated[str, Field(pattern=r"^\d{12}$")] | None = None


class AwsCostExplorer:
    """Every request costs $0.01. See README.md for what is asked, what is lost against an export, and quirks."""

    Options: ClassVar[type[base.Options]] = AwsCostExplorerOptions
    type: ClassVar[str] = "aws_cost_explorer"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    # Until the bill is final, two weeks into the next month, any day of its month may change.
    restates_days: ClassVar[int] = 45
    settle_days: ClassVar[int] = 2

    def __init__(self, *, name: str, options: AwsCostExplorerOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._fetcher = Fetcher(name, options, retry or RetryPolicy())

    def check(self) -> list[CheckResult]:
        return self._fetcher.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        for part in split_window(window):
            yield DeliveryRef(source_name=self.name, scope="", window=part, replaces="window")

    def price(self, ref: DeliveryRef) -> FetchPrice:
        """Two requests without a split, one more per value and per further page with one."""
        return FetchPrice(2 * REQUEST_USD, "2 requests at $0.01, more with pages and splits", is_at_least=True)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return self._fetcher.fetch(ref.window)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)


def split_window(window: Window) -> list[Window]:
    """Parts of at most 92 days, and what lies more than 14 months before the window's end as one part.

    AWS refuses that part if the window ends today; the days that it does keep must not be refused with it.
    """
    first_kept = _months_before(window.end, MONTHS_KEPT) + timedelta(days=1)
    if window.end <= first_kept or first_kept <= window.start:
        return split_days(window, DAYS_PER_DELIVERY)
    return [Window(window.start, first_kept), *split_days(Window(first_kept, window.end), DAYS_PER_DELIVERY)]


def _months_before(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    next_month = (date(year, month + 1, 1) + timedelta(days=31)).replace(day=1)
    return date(year, month + 1, min(day.day, (next_month - timedelta(days=1)).day))
