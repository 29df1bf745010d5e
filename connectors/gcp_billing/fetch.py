"""Which partitions the export has, and the charges of one, added up by BigQuery."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.base import CheckResult, DeliveryRef, FetchPrice, Payload, Window
from connectors.bigquery import BigQuery, Query, check_limit, gigabytes, open_bigquery, query_price
from connectors.errors import ConnectorError
from connectors.gcp_billing.labels import FOCUS_LABELS, merge_labels
from connectors.gcp_billing.queries import (
    freshness_query,
    landed_schema,
    partition_query,
    partitions_query,
    recent_query,
)
from connectors.gcp_billing.schema import ABOUT_FILE, FOCUS_TAGS, ROWS_FILES
from connectors.gcp_billing.tables import ExportTable, open_table
from connectors.http_api import RetryPolicy

if TYPE_CHECKING:
    from connectors.gcp_billing import GcpBillingOptions

EMPTY = "empty"  # the identity of a partition that holds nothing, or is gone
STALE_AFTER = timedelta(days=3)  # "no delivery guarantee"; delays of up to 1.6 days were seen
RECENT = timedelta(days=7)
FIRST_DAY = date(2000, 1, 1)  # before any export; a table may refuse queries that name no partition
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partition:
    """One partition as discover saw it. `start` None: the rows without a partition day."""

    table: ExportTable
    start: date | None
    query: Query
    newest_export: datetime | None
    export_rows: int

    @property
    def identity(self) -> str:
        """Changes with the newest export, with the number of rows, and with what is asked of them."""
        if not self.export_rows:
            return EMPTY
        keys = sorted(item for item in self.query.parameters.items() if isinstance(item[1], tuple))
        asked = hashlib.sha256(f"{self.query.sql}\n{keys}".encode()).hexdigest()[:12]
        newest = self.newest_export.astimezone(UTC).isoformat() if self.newest_export else "never"
        return f"{newest}-{self.export_rows}-{asked}"


class Fetcher:
    """The I/O of one configured source."""

    def __init__(self, source_name: str, options: GcpBillingOptions, retry: RetryPolicy | None) -> None:
        self._source_name = source_name
        self._options = options
        self._retry = retry or RetryPolicy()

    def discover(self, window: Window) -> list[DeliveryRef]:
        """A ref for every partition from the window's first day on, and for each that the window should hold.

        A partition that is gone (or has no row left) is offered as empty, so that what it said is taken
        back; discover cannot know whether anything was loaded from it. A window from before any export is the
        first look at all there is: only what is there is offered then.
        """
        with self._open() as bigquery:
            table, _ = open_table(bigquery, self._options)
            query = partitions_query(table, window.start)
            found = bigquery.rows(query, where=f"partitions of {table.path}")
        held = {row["partition_start"]: row for row in found}
        days = {day for day in held if day is not None}
        is_first_look = window.start <= FIRST_DAY
        if is_first_look:
            window = Window(min({*days, window.end - timedelta(days=1)}), window.end)
        starts: list[date | None] = sorted(days if is_first_look else {*table.partitioning.starts(window), *days})
        if table.partitioning.may_lack_a_day and (None in held or not is_first_look):
            starts.append(None)
        return [self._ref(table, start, held.get(start), window) for start in starts]

    def _ref(
        self, table: ExportTable, start: date | None, held: Mapping[str, Any] | None, window: Window
    ) -> DeliveryRef:
        query = partition_query(table, self._options.tag_keys, start)
        newest, rows = (held["newest_export"], int(held["export_rows"])) if held else (None, 0)
        partition = Partition(table, start, query, newest, rows)
        return DeliveryRef(
            source_name=self._source_name,
            scope=f"{table.scope}/{table.partitioning.name(start)}",
            window=window if start is None else Window(start, table.partitioning.next_day(start)),
            replaces="scope",
            identity=partition.identity,
            detail={"partition": partition},
        )

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        """`partition.json`, what is asked and what it costs, then the rows as Parquet; none of an empty partition.

        Raises ConfigError when the dry run says more than may be billed; nothing is billed then.
        """
        partition: Partition = ref.detail["partition"]
        if not partition.export_rows:
            # It names the partition, so these bytes differ from every other empty partition's.
            yield Payload(ABOUT_FILE, [self._about(ref, partition, None)])
            return
        where = f"partition {ref.scope}"
        with self._open() as bigquery:
            estimate = bigquery.estimate(partition.query, where=where)
            check_limit(estimate, where=f"{self._source_name}: {where}", options=self._options)
            _LOG.info("%s: %s: the dry run says %s GB", self._source_name, where, gigabytes(estimate))
            yield Payload(ABOUT_FILE, [self._about(ref, partition, estimate)])
            batches = bigquery.batches(partition.query, where=where)
            name = ROWS_FILES[partition.table.layout]
            yield Payload(name, _parquet(batches, landed_schema(partition.table), self._options.tag_keys))

    def price(self, ref: DeliveryRef) -> FetchPrice:
        """The bytes of a dry run at the list price of on-demand queries; nothing for an empty partition."""
        partition: Partition = ref.detail["partition"]
        if not partition.export_rows:
            return FetchPrice(Decimal(0), "no rows")
        with self._open() as bigquery:
            estimate = bigquery.estimate(partition.query, where=f"partition {ref.scope}")
        return query_price(estimate)

    def check(self) -> list[CheckResult]:
        """Reachable and which table, fresh, permitted and at what price; each failure with its cure."""
        results: list[CheckResult] = []
        try:
            with self._open() as bigquery:
                table, choice = open_table(bigquery, self._options)
                results.append(CheckResult("table", True, f"{table.path}, {table.layout}, {table.partitioning}"))
                if choice.others:
                    others = f"{', '.join(choice.others)} left out; set table to read another one"
                    results.append(CheckResult("other tables", True, others))
                fresh, now = self._check_fresh(bigquery, table)
                results += [fresh, self._check_price(bigquery, table, now)]
        except ConnectorError as error:
            results.append(CheckResult("table" if not results else "query", False, error.what, error.cure))
        return results

    def _check_fresh(self, bigquery: BigQuery, table: ExportTable) -> tuple[CheckResult, datetime]:
        # The partitions around the last write are enough, unless it went to older ones.
        since = [table.modified.date() - RECENT] if table.modified else []
        for first in (*since, FIRST_DAY):
            [row] = bigquery.rows(freshness_query(table, first), where=f"newest export of {table.path}")
            newest, now = row["newest_export"], row["asked_at"]
            if newest is not None:
                break
        cure = "check in Billing, Billing export, that it is switched on, and that the billing account is open"
        if newest is None:
            return CheckResult("fresh", False, "the table holds no row yet", cure), now
        age = now - newest
        told = f"the newest export is of {newest:%Y-%m-%d %H:%M} UTC, {age / timedelta(hours=1):.0f} hours ago"
        is_fresh = age <= STALE_AFTER
        return CheckResult("fresh", is_fresh, told, "" if is_fresh else cure), now

    def _check_price(self, bigquery: BigQuery, table: ExportTable, now: datetime) -> CheckResult:
        since = now.astimezone(UTC).date() - RECENT
        query = recent_query(table, self._options.tag_keys, since)
        estimate = bigquery.estimate(query, where=f"dry run on {table.path}")
        per = "a day's partition" if table.partitioning.by != "export" else "each changed month"
        if table.partitioning.by != "export":
            estimate //= RECENT.days
        told = f"may run queries and read rows; {per} is about {gigabytes(estimate)} GB to read"
        if estimate <= self._options.maximum_gigabytes_billed * 10**9:
            return CheckResult("query", True, told)
        limit = f"that is above maximum_gigabytes_billed, {self._options.maximum_gigabytes_billed}"
        return CheckResult("query", False, f"{told}; {limit}", "raise it, or read a table that is partitioned by day")

    def _about(self, ref: DeliveryRef, partition: Partition, estimate: int | None) -> bytes:
        about = {
            "table": partition.table.path,
            "partition": ref.scope,
            "newest_export": partition.newest_export.isoformat() if partition.newest_export else None,
            "export_rows": partition.export_rows,
            "estimated_bytes": estimate,
            "tag_keys": self._options.tag_keys,
            "unknown_columns": partition.table.unknown,
            "sql": partition.query.sql,
            "parameters": {
                name: given if isinstance(given, tuple) else str(given)
                for name, given in partition.query.parameters.items()
            },
        }
        return json.dumps(about, indent=1).encode()

    def _open(self) -> Any:
        return open_bigquery(self._options, source_name=self._source_name, retry=self._retry)


def _parquet(batches: Iterator[pa.RecordBatch], schema: pa.Schema, tag_keys: tuple[str, ...] | None) -> Iterator[bytes]:
    """The answer in the landed columns, as one file: BigQuery has added it up, so it fits into memory."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            # Column names have no case in BigQuery, and an answer need not keep the query's.
            named = dict(zip(map(str.lower, batch.schema.names), batch.columns, strict=True))
            if FOCUS_TAGS in schema.names:  # scanned in place, so they must be tags already
                labels = {name: named[name] for name in FOCUS_LABELS}
                named[FOCUS_TAGS.lower()] = merge_labels(labels, tag_keys)
            columns = [_column(named, field) for field in schema]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    yield file.getvalue()


def _column(columns: Mapping[str, pa.Array], field: pa.Field) -> pa.Array:
    column = columns[field.name.lower()]
    if not pa.types.is_decimal(field.type):
        return column.cast(field.type)
    # The rest is a count of 10⁻¹²: the same integers, read with twelve places.
    count = columns[f"{field.name.lower()}_rest"].cast(pa.decimal128(36, 0))
    rest = pa.Array.from_buffers(pa.decimal128(36, 12), len(count), count.buffers(), count.null_count, count.offset)
    return pc.add(column.cast(pa.decimal128(37, 12)), rest).cast(field.type)
