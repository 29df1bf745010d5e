"""The contract every connector keeps.

    discover(window)  which deliveries speak for these days, and how to tell that one has changed
    fetch(ref)        its payloads, byte for byte (telemetry: already projected to the allow-list)
    parse(files)      pure: landed files → typed rows, or a description of files to scan in place
    check()           is the source reachable, permitted and fresh; each failure with its cure

A delivery replaces what an earlier delivery of the same scope (or window) said. Loading one twice
changes nothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """The keys a source may carry in trendbreak.yml, besides name and type. Each connector subclasses it."""

    # An error about a secret, or about a secret under a misspelt key, must not repeat it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, order=True)
class Window:
    """Half-open range of UTC days: `start` is in, `end` is not."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"window {self.start}..{self.end} is empty: end must be after start")

    def days(self) -> Iterator[date]:
        for offset in range((self.end - self.start).days):
            yield self.start + timedelta(days=offset)

    def __str__(self) -> str:
        return f"{self.start.isoformat()}_{self.end.isoformat()}"


@dataclass(frozen=True)
class DeliveryRef:
    """One unit that a source can deliver, before it is fetched.

    `replaces`: with "scope", the delivery replaces all rows of (source_name, scope): a billing
    period of an export, one file of a drop folder. With "window", it replaces all rows of
    (source_name, charge_date in window): an API's answer for those days. With "hours", the hours of the
    window's days that an `HourlyMeter` told.
    `identity` is a fingerprint known before the fetch (manifest id, size and mtime); a ref whose
    identity is already loaded is skipped. None means that only the fetch can tell.
    `detail` belongs to the connector that made it and travels from discover to fetch only.
    """

    source_name: str
    scope: str
    window: Window
    replaces: Literal["scope", "window", "hours"]
    identity: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Payload:
    """One file of a delivery: a relative name ('page-0001.json', 'data/part-0.parquet') and its bytes."""

    name: str
    chunks: Iterable[bytes]


@dataclass(frozen=True)
class Rows:
    """Typed rows, in memory: API pages and other small payloads.

    `untold`: of "metered_usage", the kinds that the source would not tell this time; what stands of them stays.
    """

    layout: Literal[
        "charges", "metered_usage", "metered_hours", "calls", "outcomes", "telemetry_issues", "gpu_utilization"
    ]
    table: pa.Table
    untold: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileScan:
    """Files to be scanned in place by the warehouse; none of their rows passes through Python.

    `layout` names the staging model ("focus", "calls", later "cur2", …). `columns` maps the layout's
    canonical column name to the name in the files; a canonical column that is absent from the
    map is absent from the files. All files of one scan have the same format and are read
    union-by-name. `null_text` lists texts that mean null in a CSV.
    """

    layout: str
    file_format: Literal["csv", "parquet"]
    files: tuple[Path, ...]
    columns: Mapping[str, str]
    null_text: tuple[str, ...] = ("",)
    constants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parsed:
    """What a delivery says. `notes` are shown to the user: unknown columns kept aside, and the like."""

    parts: tuple[Rows | FileScan, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """One line of `trendbreak check`."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


@dataclass(frozen=True)
class FetchPrice:
    """What the provider charges for fetching a delivery, in US dollars before discounts; `basis` says how it is known.

    `is_at_least`: the true figure may be higher, for example by the pages that nobody can count beforehand.
    """

    usd: Decimal
    basis: str
    is_at_least: bool = False


@runtime_checkable
class Priced(Protocol):
    """A connector whose source charges for being read says beforehand how much."""

    def price(self, ref: DeliveryRef) -> FetchPrice: ...


@runtime_checkable
class Connector(Protocol):
    """One configured source, constructed as `cls(name=…, options=cls.Options(…))` by `connectors.registry.connect`.

    Constructing does no I/O. Secrets inside options are `pydantic.SecretStr`.

    An export whose periods lie there until they are removed says `whole_history: ClassVar[bool] = True`:
    its first run reads all of them, however old. Absent means that the run's window is what is read.
    One whose deliveries are partitions of a table says `is_partitioned: ClassVar[bool] = True`: two that look alike
    are never taken for one bill twice. Where a partition holds what was exported on one day, how long a day of use
    takes to settle is measured, and `settle_days` counts until there is enough to measure.
    One whose deliveries may be fetched several at once says how many: `fetches_at_once: ClassVar[int]`.
    One whose provider gives its newest days alone says how many: `kept_days: ClassVar[int]`. Runs ask for no older one.
    A folder of files, of which discover lists every one, is a `DropFolder`.
    """

    Options: ClassVar[type[Options]]
    type: ClassVar[str]
    kind: ClassVar[Literal["billing", "telemetry"]]
    restates_days: ClassVar[int]  # how far back a finished day may still change, and so is re-read
    settle_days: ClassVar[int]  # days after its end until a day counts as settled
    name: str

    def check(self) -> list[CheckResult]: ...
    def discover(self, window: Window) -> Iterable[DeliveryRef]: ...
    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]: ...
    def parse(self, files: Mapping[str, Path]) -> Parsed: ...


@runtime_checkable
class HourlyMeter(Protocol):
    """The provider meters usage by the hour. Offered refs are fetched and parsed like any other."""

    def discover_hours(self, since: datetime, until: datetime) -> Iterable[DeliveryRef]:
        """What speaks for these hours (UTC; `since` is a midnight, `until` a full hour); rows of "metered_hours"."""
        ...


@runtime_checkable
class Restating(Protocol):
    """An export that tells, for a request or two, which of its closed periods were delivered anew."""

    def discover_restated(self, before: date, written_since: date) -> Iterable[DeliveryRef]:
        """What speaks for days before `before` only and was written on or after `written_since`."""
        ...


@runtime_checkable
class DropFolder(Protocol):
    """Discover lists every file: one that is loaded and not listed is gone, or has become a copy.

    `copies` is known once discover has ended: the name of each file that says the same as another, byte for
    byte, and so is not offered → the name of that other.
    """

    copies: Mapping[str, str]


def read_payload(path: Path) -> bytes:
    """The bytes of a landed payload as they were sent; landing may have compressed them (`.gz`)."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data
