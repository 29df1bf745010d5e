"""Source type `aws_data_exports`: AWS Data Exports (FOCUS 1.0 and 1.2, CUR 2.0) and legacy CUR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

from connectors.aws_data_exports.fetch import (
    check_export,
    discover_periods,
    discover_restated_periods,
    fetch_delivery,
)
from connectors.aws_data_exports.parse import parse_delivery
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.errors import ConnectorError
from connectors.http_api import RetryPolicy
from connectors.object_storage import ExportOptions, Storage


class AwsDataExports:
    """One export. Each billing period is a delivery and replaces what the period said before."""

    Options = ExportOptions
    type: ClassVar[str] = "aws_data_exports"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    # The running period and the two before it, whatever the day of the month; older ones when they are written anew.
    restates_days: ClassVar[int] = 62
    settle_days: ClassVar[int] = 2
    whole_history: ClassVar[bool] = True

    def __init__(self, *, name: str, options: ExportOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._retry = retry
        self._opened: Storage | None = None

    @property
    def _storage(self) -> Storage:
        if self._opened is None:
            self._opened = self.options.open(self._retry)
        return self._opened

    def check(self) -> list[CheckResult]:
        """Reachable, which export, and whether its newest delivery is whole and readable."""
        try:
            return check_export(self._storage)
        except ConnectorError as error:
            return [CheckResult("reachable", False, error.what, error.cure)]

    def discover(self, window: Window) -> Iterator[DeliveryRef]:
        """The current delivery of every billing period that touches the window."""
        return discover_periods(self._storage, window, source_name=self.name)

    def discover_restated(self, before: date, written_since: date) -> Iterator[DeliveryRef]:
        """The closed periods that AWS has delivered anew: refunds and corrections come months later."""
        return discover_restated_periods(self._storage, before, written_since, source_name=self.name)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return fetch_delivery(self._storage, ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_delivery(files)
