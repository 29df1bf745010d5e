"""Which table is the export, what it holds, and how it is partitioned."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from connectors.base import Window
from connectors.bigquery import BigQuery, Parameter
from connectors.errors import ConfigError, PayloadError
from connectors.focus_columns import looks_like_focus, map_focus_header
from connectors.gcp_billing.schema import DOCUMENTED, FOCUS_DOCUMENTED, FOCUS_EXPORT_TIME, FOCUS_KEPT_DAYS, REQUIRED
from connectors.tabular_files import named

if TYPE_CHECKING:
    from connectors.gcp_billing import GcpBillingOptions

Layout = Literal["charges", "focus"]
Unit = Literal["DAY", "MONTH", "YEAR"]
# In the order of preference: the detailed export tells the resource.
FAMILIES = (
    ("detailed", re.compile(r"gcp_billing_export_resource_v1_(.+)")),
    ("standard", re.compile(r"gcp_billing_export_v1_(.+)")),
    ("FOCUS", re.compile(r"gcp_billing_export_focus_(?:v1_)?(.+)")),
)
# An export that was switched on this much later than another does not replace it: it lacks its history.
SAME_START = timedelta(days=7)
NO_DAY = "__NULL__"  # BigQuery's own name for the partition of rows without a partition day


@dataclass(frozen=True)
class Choice:
    """The table to read, and its siblings of the same billing account that are left out."""

    name: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Partitioning:
    """How the table is cut. `expression` gives the day (or point in time) by which it is.

    by: "ingestion" (_PARTITIONTIME), "column", or "export": not partitioned by time, so that it is
    cut by the month of its export time, and every reading reads the whole table.
    """

    by: Literal["ingestion", "column", "export"]
    expression: str
    type: Literal["DATE", "DATETIME", "TIMESTAMP"]
    unit: Unit
    kept_days: int | None = None  # older partitions expire by themselves

    @property
    def bucket(self) -> str:
        """SQL: the first day of a row's partition."""
        day = self.expression if self.type == "DATE" else f"DATE({self.expression})"
        return day if self.unit == "DAY" else f"DATE_TRUNC({day}, {self.unit})"

    @property
    def may_lack_a_day(self) -> bool:
        # Without an ingestion time, a row is in the streaming buffer still: it comes at the next run.
        return self.by == "column"

    def since(self, day: date) -> tuple[str, dict[str, Parameter]]:
        """SQL condition and parameters: the partitions from the one that holds `day` on."""
        condition = f"{self.expression} >= @since"
        if self.may_lack_a_day:
            condition = f"({condition} OR {self.expression} IS NULL)"
        return condition, {"since": self._point(self.first_day(day))}

    def within(self, start: date | None) -> tuple[str, dict[str, Parameter]]:
        """SQL condition and parameters: the partition that begins on `start`; None is the one without a day."""
        if start is None:
            return f"{self.expression} IS NULL", {}
        condition = f"{self.expression} >= @partition_start AND {self.expression} < @partition_end"
        return condition, {"partition_start": self._point(start), "partition_end": self._point(self.next_day(start))}

    def first_day(self, day: date) -> date:
        """The first day of the partition that holds `day`."""
        if self.unit == "DAY":
            return day
        return day.replace(day=1) if self.unit == "MONTH" else day.replace(month=1, day=1)

    def next_day(self, start: date) -> date:
        """The first day of the next partition."""
        step = {"DAY": 1, "MONTH": 31, "YEAR": 366}[self.unit]
        return self.first_day(start + timedelta(days=step))

    def starts(self, window: Window) -> Iterator[date]:
        """The first day of every partition that touches the window and can exist still."""
        start = self.first_day(window.start)
        while start < window.end:
            if self.kept_days is None or self.next_day(start) > window.end - timedelta(days=self.kept_days):
                yield start
            start = self.next_day(start)

    def name(self, start: date | None) -> str:
        """BigQuery's id of the partition: 20260105, 202601, 2026, __NULL__."""
        return NO_DAY if start is None else start.strftime({"DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}[self.unit])

    def _point(self, day: date) -> Parameter:
        if self.type == "DATE":
            return day
        return datetime(day.year, day.month, day.day, tzinfo=UTC if self.type == "TIMESTAMP" else None)

    def __str__(self) -> str:
        if self.by == "export":
            return "not partitioned: every reading reads the whole table"
        return f"partitioned by {self.unit.lower()} of {self.expression.strip('`')}"


@dataclass(frozen=True)
class ExportTable:
    """The table as it is now. `fields`: dotted path → field of the schema, as the table spells it."""

    path: str  # project.dataset.table
    scope: str  # what its partitions' scopes begin with
    layout: Layout
    fields: Mapping[str, Any]
    partitioning: Partitioning
    export_time: str
    unknown: tuple[str, ...]
    location: str | None
    modified: datetime | None

    def field(self, *paths: str) -> str | None:
        """The first of these fields that the table has."""
        return next((path for path in paths if path in self.fields), None)


def choose_table(names: Mapping[str, datetime | None], options: GcpBillingOptions) -> Choice:
    """The export among a dataset's tables. Raises ConfigError when there is none, or accounts to choose from."""
    accounts: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        for family, pattern in FAMILIES:
            match = pattern.fullmatch(name)
            if match:
                accounts.setdefault(match.group(1), {})[family] = name
                break
    if not accounts:
        raise ConfigError(
            f"no billing export among {len(names)} tables" + (f": {named(sorted(names))}" if names else ""),
            where=options.dataset_path,
            cure="switch on the detailed usage cost export (Billing, Billing export); its first rows take some hours; "
            "or set table where it has a name of its own",
        )
    if len(accounts) > 1:
        tables = [name for families in accounts.values() for name in families.values()]
        raise ConfigError(
            f"exports of {len(accounts)} billing accounts: {', '.join(tables)}",
            where=options.dataset_path,
            cure="set table to one of them, and add a source for each other account",
        )
    [families] = accounts.values()
    there = [families[family] for family, _ in FAMILIES if family in families]
    oldest = min((created for name in there if (created := names[name]) is not None), default=None)
    chosen = next(
        name for name in there if oldest is None or (created := names[name]) is None or created - oldest <= SAME_START
    )
    return Choice(chosen, tuple(name for name in there if name != chosen))


def open_table(bigquery: BigQuery, options: GcpBillingOptions) -> tuple[ExportTable, Choice]:
    """Find the export and look at it. Raises ConfigError, PayloadError where it is no export."""
    choice = Choice(options.table, ()) if options.table else choose_table(bigquery.table_names(), options)
    found = bigquery.table(choice.name)
    path = f"{options.dataset_path}.{choice.name}"
    fields = dict(_fields(found.schema))
    top = [field.name for field in found.schema]
    if looks_like_focus(top):
        header = map_focus_header(top, where=path)
        fields = {**fields, **{canonical: fields[column] for canonical, column in header.columns.items()}}
        unknown = [name for name in header.unknown if name not in FOCUS_DOCUMENTED]
        export_time = next((name for name in top if name.lower() == FOCUS_EXPORT_TIME.lower()), None)
        layout: Layout = "focus"
    else:
        unknown = [name for name in top if name not in DOCUMENTED]
        export_time = "export_time"
        layout = "charges"
        _check_required(fields, path)
    if export_time is None:
        raise PayloadError(
            f"the column {FOCUS_EXPORT_TIME} is missing: it tells what is new",
            where=path,
            cure="let the view pass it on",
        )
    partitioning = read_partitioning(found, export_time, is_focus=layout == "focus")
    table = ExportTable(
        path=path,
        scope=_scope(choice.name),
        layout=layout,
        fields=fields,
        partitioning=partitioning,
        export_time=export_time,
        unknown=tuple(unknown),
        location=options.location or found.location,
        modified=found.modified,
    )
    return table, choice


def _scope(name: str) -> str:
    """The billing account where the name tells it: a source that is switched to another export of the
    account then replaces its partitions; under the table's name it would count everything twice."""
    for _, pattern in FAMILIES:
        match = pattern.fullmatch(name)
        if match:
            return match.group(1)
    return name


def _fields(schema: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for field in schema:
        yield prefix + field.name, field
        yield from _fields(field.fields, f"{prefix}{field.name}.")


def _check_required(fields: Mapping[str, Any], path: str) -> None:
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise PayloadError(
            f"no billing export: it lacks {named(missing, 7)}",
            where=path,
            cure="set table to the export itself, or let the view pass these columns on under their own names",
        )


def read_partitioning(table: Any, export_time: str, *, is_focus: bool) -> Partitioning:
    """How `table` (google.cloud.bigquery.Table) is cut."""
    by_time = table.time_partitioning
    if by_time is None:
        return Partitioning("export", export_time, "TIMESTAMP", "MONTH")
    # Days are fine enough: an hour's partition is read with its day.
    unit: Unit = by_time.type_ if by_time.type_ in ("MONTH", "YEAR") else "DAY"
    kept = FOCUS_KEPT_DAYS if is_focus else None
    if by_time.expiration_ms is not None:
        kept = min(kept or 10**6, int(by_time.expiration_ms) // 86_400_000)
    if by_time.field is None:
        return Partitioning("ingestion", "_PARTITIONTIME", "TIMESTAMP", unit, kept)
    field = next(field for field in table.schema if field.name.lower() == by_time.field.lower())
    return Partitioning("column", f"`{field.name}`", field.field_type, unit, kept)
