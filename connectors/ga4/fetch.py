"""Which daily tables the export has, and the calls and outcomes of one, read page by page."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.base import CheckResult, DeliveryRef, FetchPrice, Payload, Window
from connectors.bigquery import BigQuery, Query, check_limit, gigabytes, open_bigquery, query_price
from connectors.calls.log_source import log_payloads
from connectors.calls.projection import Projection
from connectors.errors import ConfigError, ConnectorError
from connectors.ga4.parse import parameter_names, read_event
from connectors.http_api import RetryPolicy

if TYPE_CHECKING:
    from connectors.ga4 import Ga4Options

VERSION = 1  # raise it when a rule changes: every table is then read again
SQL = Path(__file__).parent / "sql"
# The daily table holds all of a day; the intraday one is there until it is made.
TABLES = (re.compile(r"events_(\d{8})"), re.compile(r"events_intraday_(\d{8})"))
DAY = timedelta(days=1)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DayTable:
    """One day's table as discover saw it."""

    name: str
    path: str
    location: str | None


class Fetcher:
    """The I/O of one configured source."""

    def __init__(self, source_name: str, options: Ga4Options, retry: RetryPolicy | None) -> None:
        self._source_name = source_name
        self._options = options
        self._retry = retry or RetryPolicy()

    def discover(self, window: Window) -> list[DeliveryRef]:
        """A ref per table. A table that is gone says nothing: the export lets old ones expire."""
        with self._open() as bigquery:
            tables = self._tables(bigquery)
            days = [day for day in sorted(tables) if window.start - DAY <= day <= window.end]
            return [self._ref(bigquery, day, tables[day]) for day in days]

    def _tables(self, bigquery: BigQuery) -> dict[date, str]:
        names = bigquery.table_names()
        found: dict[date, str] = {}
        for pattern in TABLES:
            for name in names:
                match = pattern.fullmatch(name)
                if match and (day := _day(match.group(1))) is not None:
                    found.setdefault(day, name)
        if not found:
            raise ConfigError(
                f"no events_YYYYMMDD among {len(names)} tables",
                where=f"{self._source_name}: {self._options.dataset_path}",
                cure="set dataset to analytics_<property id>; link BigQuery under Admin, Product links, with the daily "
                "export: its first table comes within a day",
            )
        return found

    def _ref(self, bigquery: BigQuery, day: date, name: str) -> DeliveryRef:
        table = bigquery.table(name)
        changed = table.modified.astimezone(UTC).isoformat() if table.modified else "never"
        return DeliveryRef(
            source_name=self._source_name,
            scope=f"{self._options.dataset}/{day:%Y%m%d}",  # of both kinds of table: the day's takes the other's place
            window=Window(day, day + DAY),
            replaces="scope",
            identity=f"{name}-{changed}-{table.num_rows}-{self._options.fingerprint(VERSION)}",
            detail={"table": self._day_table(name, table)},
        )

    def _day_table(self, name: str, table: Any) -> DayTable:
        return DayTable(name, f"{self._options.dataset_path}.{name}", self._options.location or table.location)

    def price(self, ref: DeliveryRef) -> FetchPrice:
        """The bytes of a dry run at the list price of on-demand queries."""
        table: DayTable = ref.detail["table"]
        with self._open() as bigquery:
            return query_price(bigquery.estimate(self._query(table), where=f"table {table.path}"))

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        """The projection of a day's table.

        Raises ConfigError when the dry run says more than may be billed; nothing is billed then.
        """
        table: DayTable = ref.detail["table"]
        where = f"table {table.path}"
        projection = self._options.projection()
        with self._open() as bigquery:
            query = self._query(table)
            estimate = bigquery.estimate(query, where=where)
            check_limit(estimate, where=f"{self._source_name}: {where}", options=self._options)
            _LOG.info("%s: %s: the dry run says %s GB", self._source_name, where, gigabytes(estimate))
            records = _records(bigquery, query, where, projection)
            yield from log_payloads(
                records, lambda record, counts: read_event(record, counts, self._options), None, projection
            )

    def _query(self, table: DayTable) -> Query:
        options = self._options
        sql = _sql("events").replace("{{ table }}", f"`{table.path}`").replace("{{ user_column }}", options.user_column)
        asked = tuple(sorted(set(parameter_names(options).values())))
        events = (*options.call_events, *options.outcome_events)
        return Query(sql, {"asked": asked, "events": events}, table.location)

    def check(self) -> list[CheckResult]:
        """The tables, the price of a day, the events of the newest one; each failure with its cure."""
        results: list[CheckResult] = []
        try:
            with self._open() as bigquery:
                tables = self._tables(bigquery)
                newest = max(tables)
                told = f"{len(tables)} days, {min(tables)} to {newest}"
                results.append(CheckResult("tables", True, f"{self._options.dataset_path}: {told}"))
                table = self._day_table(tables[newest], bigquery.table(tables[newest]))
                estimate = bigquery.estimate(self._query(table), where=f"dry run on {table.path}")
                results.append(self._check_price(estimate))
                results.append(self._check_events(bigquery, table))
        except ConnectorError as error:
            results.append(CheckResult("query" if results else "tables", False, error.what, error.cure))
        return results

    def _check_price(self, estimate: int) -> CheckResult:
        limit = self._options.maximum_gigabytes_billed
        told = f"may run queries and read rows; the newest day is {gigabytes(estimate)} GB to read"
        if estimate <= limit * 10**9:
            return CheckResult("query", True, told)
        return CheckResult("query", False, f"{told}, above maximum_gigabytes_billed, {limit}", "raise it")

    def _check_events(self, bigquery: BigQuery, table: DayTable) -> CheckResult:
        query = Query(_sql("names").replace("{{ table }}", f"`{table.path}`"), {}, table.location)
        held = {row["event_name"]: int(row["events"]) for row in bigquery.rows(query, where=f"events of {table.path}")}
        calls = sum(held.get(name, 0) for name in self._options.call_events)
        outcomes = sum(held.get(name, 0) for name in self._options.outcome_events)
        told = f"{table.name}: {calls} calls and {outcomes} outcomes"
        if calls or outcomes:
            return CheckResult("events", True, told)
        names = ", ".join(list(held)[:8]) or "none"
        cure = f"set call_events to the events that are sent per AI request; {table.name} holds: {names}"
        return CheckResult("events", False, told, cure)

    def _open(self) -> Any:
        return open_bigquery(self._options, source_name=self._source_name, retry=self._retry)


def _records(
    bigquery: BigQuery, query: Query, where: str, projection: Projection
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for batch in bigquery.batches(query, where=where):
        for record in batch.to_pylist():
            projection.lines += 1
            yield projection.lines, record


@cache
def _sql(name: str) -> str:
    # Table names come from the dataset's own list and were matched, column names from checked options; values
    # travel as parameters.
    return (SQL / f"{name}.sql").read_text(encoding="utf-8").strip()


def _day(digits: str) -> date | None:
    try:
        return datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
