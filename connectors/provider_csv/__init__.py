"""Source type `provider_csv`: the CSV files that OpenAI's dashboard and the Claude Console export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from connectors import base
from connectors.base import CheckResult, DeliveryRef, Parsed, Payload, Window
from connectors.errors import ConnectorError
from connectors.http_api import RetryPolicy
from connectors.object_storage import LocationOptions, Storage
from connectors.provider_csv.fetch import check_exports, discover_exports, fetch_export, find_exports
from connectors.provider_csv.parse import parse_files


class ProviderCsvOptions(LocationOptions):
    """`files`: only names that match this pattern ('claude_*'); the case does not matter.

    `organization`: becomes the billing account of exports that do not name one (Claude's).
    """

    files: Annotated[str, Field(min_length=1)] | None = None
    organization: Annotated[str, Field(min_length=1)] | None = None


class ProviderCsv:
    """A drop folder. A file is a delivery; see README.md for columns, and for exports that overlap."""

    Options: ClassVar[type[base.Options]] = ProviderCsvOptions
    type: ClassVar[str] = "provider_csv"
    kind: ClassVar[Literal["billing", "telemetry"]] = "billing"
    # Nobody says when a file is replaced; its identity does.
    restates_days: ClassVar[int] = 31
    settle_days: ClassVar[int] = 2

    def __init__(self, *, name: str, options: ProviderCsvOptions, retry: RetryPolicy | None = None) -> None:
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
        """Reachable, and which export every file is."""
        try:
            return check_exports(self._storage, self.options.files)
        except ConnectorError as error:
            return [CheckResult("reachable", False, error.what, error.cure)]

    def discover(self, window: Window) -> Iterator[DeliveryRef]:
        """Every file, whatever days are asked for: last year's export may be dropped in today."""
        found = find_exports(self._storage, self.options.files)
        self.copies = {copy.name: original.name for copy, original in found.copies}
        return discover_exports(found, self._storage, source_name=self.name)

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        return fetch_export(self._storage, ref)

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        return parse_files(files, organization=self.options.organization)
