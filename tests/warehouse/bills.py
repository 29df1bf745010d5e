"""Invented bills and telemetry for the warehouse's tests, and a home to land and load them in.

Column names are the FOCUS specification's and the connectors' schemas'; no row comes from a real bill.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import DeliveryRef, FileScan, Payload, Rows, Window
from connectors.schema import CALLS, CHARGES, FOCUS_OPTIONAL, FOCUS_REQUIRED, METERED_USAGE, OUTCOMES
from warehouse.landing import LandedDelivery, Landing
from warehouse.load import LoadResult, load_delivery
from warehouse.store import Warehouse, open_warehouse

NOW = datetime(2026, 2, 3, 6, tzinfo=UTC)
JANUARY = Window(date(2026, 1, 1), date(2026, 2, 1))


def focus_row(day: int = 1, cost: str = "1.5", *, hour: int = 0, **values: Any) -> dict[str, Any]:
    """One charge of January 2026, as text, as a CSV has it."""
    start = datetime(2026, 1, day, hour, tzinfo=UTC)
    row: dict[str, Any] = {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "BillingAccountId": "111122223333",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-01-01T00:00:00Z",
        "BillingPeriodEnd": "2026-02-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargePeriodStart": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "ChargePeriodEnd": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "ServiceName": "Amazon Simple Storage Service",
        "ServiceCategory": "Storage",
        "ProviderName": "AWS",
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "SubAccountId": "444455556666",
        "SkuMeter": "USE1-TimedStorage-ByteHrs",
        "RegionId": "us-east-1",
        "ResourceId": "bucket-1",
        "ConsumedQuantity": "1",
        "ConsumedUnit": "GB",
        "Tags": '{"feature": "support_chat"}',
    }
    return row | values


def gpu_row(day: int = 1, cost: str = "98.32", **values: Any) -> dict[str, Any]:
    """An hour of an eight-GPU instance."""
    return focus_row(
        day,
        cost,
        **{
            "ServiceName": "Amazon Elastic Compute Cloud",
            "ServiceCategory": "Compute",
            "SkuMeter": "USE1-BoxUsage:p5.48xlarge",
            "ResourceId": "i-0gpu",
            "ConsumedQuantity": "1",
            "ConsumedUnit": "Hours",
        }
        | values,
    )


def bedrock_row(day: int = 1, cost: str = "0.003", **values: Any) -> dict[str, Any]:
    """A thousand input tokens of a Claude model on Bedrock."""
    return focus_row(
        day,
        cost,
        **{
            "ServiceName": "Amazon Bedrock",
            "ServiceCategory": "AI and Machine Learning",
            "SkuMeter": "USE1-Claude4.6Sonnet-input-tokens",
            "ResourceId": "arn:aws:bedrock:us-east-1:444455556666:application-inference-profile/a",
            "ConsumedQuantity": "1",
            "ConsumedUnit": "1K tokens",
        }
        | values,
    )


def csv_bytes(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None, null: str = "") -> bytes:
    names = list(columns or rows[0])
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([null if row.get(name) is None else row[name] for name in names])
    return text.getvalue().encode()


def parquet_bytes(rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType] | None = None) -> bytes:
    """Rows as Parquet: text, unless `types` gives a column another type, into which its text is read."""
    types = types or {}
    columns = {}
    for name in rows[0]:
        cells = [row.get(name) for row in rows]
        kind = types.get(name, pa.string())
        columns[name] = pa.array([_read(cell, kind) for cell in cells], kind)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _read(cell: Any, kind: pa.DataType) -> Any:
    if cell is None or not isinstance(cell, str):
        return cell
    if pa.types.is_floating(kind):
        return float(cell)
    if pa.types.is_decimal(kind):
        return Decimal(cell).quantize(Decimal(1).scaleb(-kind.scale))
    if pa.types.is_integer(kind):
        return int(cell)
    if pa.types.is_timestamp(kind):
        moment = datetime.fromisoformat(cell.replace("Z", "+00:00"))
        return moment if kind.tz else moment.replace(tzinfo=None)
    return cell


def focus_scan(paths: Iterable[Path], rows_like: Mapping[str, Any] | Sequence[str], **more: Any) -> FileScan:
    """A scan of FOCUS files that have the given columns."""
    known = {*FOCUS_REQUIRED, *FOCUS_OPTIONAL}
    files = tuple(paths)
    return FileScan(
        layout="focus",
        file_format="parquet" if files[0].name.endswith(".parquet") else "csv",
        files=files,
        columns={name: name for name in rows_like if name in known},
        **{"null_text": ("", "NULL")} | more,
    )


def charge_rows(*rows: Mapping[str, Any]) -> Rows:
    """API charges; what a row leaves out is a plain OpenAI charge."""
    plain = {
        "charge_date": date(2026, 1, 1),
        "invoice_issuer_name": "OpenAI",
        "provider_name": "OpenAI",
        "service_name": "OpenAI API",
        "sub_account_id": "proj_a",
        "sku_meter": "gpt-5-mini, input",
        "model": "gpt-5-mini",
        "token_type": "input",
        "charge_category": "Usage",
        "consumed_quantity": Decimal(1000),
        "consumed_unit": "tokens",
        "billed_cost": Decimal("1.5"),
        "effective_cost": Decimal("1.5"),
        "billing_currency": "USD",
        "basis": "reported",
    }
    return Rows("charges", pa.Table.from_pylist([plain | row for row in rows], schema=CHARGES))


def usage_rows(*rows: Mapping[str, Any]) -> Rows:
    plain = {"usage_date": date(2026, 1, 1), "model": "gpt-5-mini", "requests": 1, "input_tokens": 1000}
    return Rows("metered_usage", pa.Table.from_pylist([plain | row for row in rows], schema=METERED_USAGE))


def call_rows(*rows: Mapping[str, Any]) -> Rows:
    plain = {
        "called_at": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "provider": "openai",
        "model": "gpt-5-mini",
        "feature": "support_chat",
        "task_id": "t1",
        "attempt": 1,
        "status": "ok",
        "input_tokens": 100,
        "output_tokens": 10,
    }
    return Rows("calls", pa.Table.from_pylist([plain | row for row in rows], schema=CALLS))


def outcome_rows(*rows: Mapping[str, Any]) -> Rows:
    plain = {"task_id": "t1", "outcome": "resolved", "outcome_at": datetime(2026, 1, 1, 13, tzinfo=UTC)}
    return Rows("outcomes", pa.Table.from_pylist([plain | row for row in rows], schema=OUTCOMES))


@dataclass
class Home:
    """A home folder: deliveries are landed in it and loaded from it, as a run does."""

    root: Path
    clock: datetime = NOW
    landed: dict[str, LandedDelivery] = field(default_factory=dict)

    @property
    def landing(self) -> Landing:
        return Landing(self.root / "landing")

    def land(
        self,
        files: Mapping[str, bytes],
        *,
        source: str = "drop",
        source_type: str = "focus_files",
        scope: str | None = None,
        window: Window = JANUARY,
        replaces: Any = "scope",
        identity: str | None = None,
    ) -> LandedDelivery:
        ref = DeliveryRef(source, scope if scope is not None else next(iter(files)), window, replaces, identity)
        self.clock += timedelta(minutes=1)
        return self.landing.store(
            ref,
            [Payload(name, [data]) for name, data in files.items()],
            source_type=source_type,
            fetched_at=self.clock,
        )

    @contextmanager
    def open(self, **more: Any) -> Iterator[Warehouse]:
        with open_warehouse(self.root, memory_limit="400MB", threads=1, **more) as warehouse:
            yield warehouse

    def load_focus(
        self, wh: Warehouse, rows: Sequence[Mapping[str, Any]], name: str = "a.csv", *, rates: Any = (), **more: Any
    ) -> LoadResult:
        """Land the rows as a CSV (or Parquet, by the name) and load them."""
        types = more.pop("types", None)
        data = parquet_bytes(rows, types) if name.endswith(".parquet") else csv_bytes(rows)
        if name.endswith(".gz"):
            data = gzip.compress(data)
        return self.load_files(wh, {name: data}, rows[0], rates=rates, **more)

    def load_files(
        self,
        wh: Warehouse,
        files: Mapping[str, bytes],
        columns: Any,
        *,
        rates: Any = (),
        tag_keys: Any = None,
        **more: Any,
    ) -> LoadResult:
        delivery = self.land(files, **more)
        scan = focus_scan(delivery.files.values(), columns)
        return load_delivery(wh, delivery, (scan,), now=self.clock, rates=rates, tag_keys=tag_keys)

    def load_rows(self, wh: Warehouse, *parts: Rows, content: str | None = None, **more: Any) -> LoadResult:
        """Load API rows: their window is replaced. `content` stands for the bytes of the answer."""
        said = content if content is not None else repr([part.table.to_pylist() for part in parts])
        options = {"source": "openai", "source_type": "openai", "scope": "", "replaces": "window"} | more
        rates = options.pop("rates", ())
        delivery = self.land({"page-0001.json": said.encode()}, **options)
        return load_delivery(wh, delivery, parts, now=self.clock, rates=rates)


def one(wh: Warehouse, sql: str, *parameters: Any) -> Any:
    """The first cell of the answer."""
    row = wh.con.execute(sql, list(parameters)).fetchone()
    return row[0] if row else None


def rows_of(wh: Warehouse, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return wh.con.execute(sql, list(parameters)).fetchall()


def sums(wh: Warehouse) -> tuple[Decimal, Decimal]:
    """Billed and effective cost in core.charges."""
    row = wh.con.execute(
        "SELECT coalesce(sum(billed_cost), 0), coalesce(sum(effective_cost), 0) FROM core.charges"
    ).fetchone()
    assert row is not None
    return Decimal(row[0]), Decimal(row[1])


def everything(wh: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of core and ops, to show that nothing changed."""
    tables = rows_of(
        wh,
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name IN ('core', 'ops') ORDER BY ALL",
    )
    return {f"{s}.{t}": rows_of(wh, f"SELECT * FROM {s}.{t} ORDER BY ALL") for s, t in tables}
