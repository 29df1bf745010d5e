"""Source type `focus_files`: FOCUS 1.0 to 1.4 files (CSV, CSV.gz, Parquet) from a folder or s3://."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.errors import ConnectorError
from connectors.focus_files.fetch import check_bills, discover_bills, fetch_bill, find_bills
from connectors.focus_files.parse import parse_files
from connectors.http_api import RetryPolicy
from connectors.object_storage import ExportOptions, Storage


class FocusFilesOptions(ExportOptions):
    """`files`: only names that match this pattern ('azure-*', 'azure/**'); the case does not matter."""

    files: Annotated[str, Field(min_length=1)] | None = None


class FocusFiles:
    """A drop folder. A file is a delivery and replaces what the same file said before; so is an Azure run."""

    Options = FocusFilesOptions
    type: ClassVar[str] = "focus_files"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    # Nobody says when a file is replaced; its identity does. Publishers restate for two periods.
    restates_days: ClassVar[int] = 62
    settle_days: ClassVar[int] = 2

    def __init__(self, *, name: str, options: FocusFilesOptions, retry: RetryPolicy | None = None) -> None:
        self.name = name
        self.options = options
        self._retry = retry
        self._opened: Storage | None = None
        self.copies: Mapping[str, str] = {}

    @property
    def _storage(self) -> Storage:
        if self._opened is None:
            self._opened = self.options.open(self._retry)
        return self._opened

    def check(self) -> list[CheckResult]:
        """Reachable, and how many files are read, repeated or left out."""
        try:
            return check_bills(self._storage, self.options.files)
        except ConnectorError as error:
            return [CheckResult("reachable", False, error.what, error.cure)]

    def discover(self, window: Window) -> Iterator[DeliveryRef]:
        """Every file, whatever days are asked for: a bill of last year may be dropped in today."""
        found = find_bills(self._storage, self.options.files)
        self.copies = {copy.name: original.name for copy, original in found.copies}
        return discover_bills(found, self._storage, source_name=self.name)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return fetch_bill(self._storage, ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files)
