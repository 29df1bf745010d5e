"""Source type `gcp_billing`: Google Cloud's billing export in BigQuery (standard, detailed, FOCUS)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from connectors import base
from connectors.base import CheckResult, DeliveryRef, FetchPrice, Parsed, Payload, Window
from connectors.bigquery import BigQueryOptions
from connectors.gcp_billing.fetch import Fetcher
from connectors.gcp_billing.parse import parse_files
from connectors.http_api import RetryPolicy


class GcpBillingOptions(BigQueryOptions):
    """`project` runs (and pays) the queries; `dataset` may name another one: other-project.billing."""

    table: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    tag_keys: tuple[str, ...] | None = None  # labels to keep, as named in README.md; default: all


class GcpBilling:
    """The `gcp_billing` source. A partition of the export is a delivery and replaces what it said before."""

    Options: ClassVar[type[base.Options]] = GcpBillingOptions
    type: ClassVar[str] = "gcp_billing"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    # Partitions of this age are looked at again; only those that changed are read.
    restates_days: ClassVar[int] = 62
    settle_days: ClassVar[int] = 2
    fetches_at_once: ClassVar[int] = 4
    whole_history: ClassVar[bool] = True
    is_partitioned: ClassVar[bool] = True

    def __init__(self, *, name: str, options: GcpBillingOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._fetcher = Fetcher(name, options, retry)

    def check(self) -> list[CheckResult]:
        """Reachable, which table, fresh, permitted, and how much a day's reading is."""
        return self._fetcher.check()

    def discover(self, window: Window) -> Iterable[DeliveryRef]:
        """The partitions from the window's first day on: what is exported today speaks of yesterday."""
        return self._fetcher.discover(window)

    def price(self, ref: DeliveryRef) -> FetchPrice:
        """By BigQuery's own dry run, which is free."""
        return self._fetcher.price(ref)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return self._fetcher.fetch(ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)
