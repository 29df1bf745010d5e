"""Invented bills in the publishers' formats, and DuckDB as the judge of what a scan really reads.

Column names are the FOCUS specification's; the layout of an AWS export and of its manifests is the
one in AWS's user guide ("Understanding export delivery"). No row comes from a real bill.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import FileScan
from connectors.focus_columns import FOCUS_COLUMNS, REMOVED_IN_1_4

VERSIONS = ("0.5", "1.0", "1.1", "1.2", "1.3", "1.4")


def focus_names(version: str) -> list[str]:
    """The columns that a complete file of this version has."""
    names = [name for name, since in FOCUS_COLUMNS.items() if VERSIONS.index(since) <= VERSIONS.index(version)]
    return [name for name in names if not (version == "1.4" and name in REMOVED_IN_1_4)]


def focus_row(day: int = 1, *, cost: str = "1.5", **values: Any) -> dict[str, Any]:
    """One charge of January 2026, all FOCUS columns of 1.2 that matter filled."""
    start = datetime(2026, 1, day, tzinfo=UTC)
    row: dict[str, Any] = {
        "BilledCost": Decimal(cost),
        "EffectiveCost": Decimal(cost),
        "ListCost": Decimal(cost),
        "ContractedCost": Decimal(cost),
        "BillingAccountId": "111122223333",
        "BillingCurrency": "USD",
        "BillingPeriodStart": datetime(2026, 1, 1, tzinfo=UTC),
        "BillingPeriodEnd": datetime(2026, 2, 1, tzinfo=UTC),
        "ChargeCategory": "Usage",
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + timedelta(days=1),
        "ServiceName": "Amazon Bedrock",
        "ServiceCategory": "AI and Machine Learning",
        "ProviderName": "AWS",
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "SubAccountId": "444455556666",
        "Tags": '{"feature": "support_chat"}',
    }
    return row | values


def focus_csv(
    rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None, null: str = "", spell: Any = None
) -> bytes:
    """Rows as a CSV; `spell` maps a column's name to how this file writes it."""
    names = list(columns or rows[0])
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([spell(name) if spell else name for name in names])
    for row in rows:
        writer.writerow([_as_text(row.get(name), null) for name in names])
    return text.getvalue().encode()


def _as_text(value: Any, null: str) -> str:
    if value is None:
        return null
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def parquet(rows: Sequence[Mapping[str, Any]], **types: pa.DataType) -> bytes:
    """Rows as Parquet; `types` for columns that are not what Arrow guesses."""
    table = pa.Table.from_pylist([dict(row) for row in rows])
    for name, kind in types.items():
        index = table.schema.get_field_index(name)
        column = pa.array([row.get(name) for row in rows], kind)
        table = table.set_column(index, name, column) if index >= 0 else table.append_column(name, column)
    return parquet_bytes(table)


def parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


class Site(Protocol):
    def put(self, key: str, data: bytes) -> None: ...
    def remove(self, key: str) -> None: ...
    def options(self, prefix: str = "") -> dict[str, Any]: ...


class AwsExport:
    """A Data Export below `root`, delivered as AWS does: data files first, the manifest last.

    `told`: bucket and prefix as the manifest writes them, which a copy of an export keeps.
    """

    def __init__(
        self, site: Site, root: str = "exports/focus", *, told: str = "s3://acme-billing/exports/focus"
    ) -> None:
        self.site, self.root, self.told = site, root, told
        self.name = root.rpartition("/")[2]

    def deliver(
        self,
        period: str,
        files: Mapping[str, bytes],
        *,
        execution: str = "",
        folder: str = "BILLING_PERIOD",
        also_named: Sequence[str] = (),
    ) -> None:
        """One delivery of a period. `execution`: create-new mode puts it under its own folder."""
        below = f"data/{folder}={period}/" + (f"{execution}/" if execution else "")
        for name, data in files.items():
            self.site.put(f"{self.root}/{below}{name}", data)
        named = [f"{self.told}/{below}{name}" for name in (*files, *also_named)]
        if execution:
            self.put_manifest(period, named, folder=folder, below=f"{execution}/")
        self.put_manifest(period, named, folder=folder)

    def put_manifest(
        self, period: str, data_files: Iterable[str], *, folder: str = "BILLING_PERIOD", below: str = ""
    ) -> None:
        manifest = {
            "executionId": "2f6c1f0e-0000-4000-8000-000000000000",
            "exportArn": f"arn:aws:bcm-data-exports:us-east-1:111122223333:export/{self.name}",
            "compression": "Parquet",
            "contentType": "application/parquet",
            "dataFiles": list(data_files),
        }
        key = f"{self.root}/metadata/{folder}={period}/{below}{self.name}-Manifest"
        self.site.put(f"{key}.json", json.dumps(manifest).encode())
        # Its sibling says nothing of what is current.
        sibling = {"Schema": {"ColumnDefinition": [{"ColumnName": "BilledCost"}]}}
        self.site.put(f"{key}-FOCUS.json", json.dumps(sibling).encode())


class LegacyReport:
    """A legacy Cost and Usage Report below `root`."""

    def __init__(self, site: Site, root: str = "cur/acme", *, told: str = "cur/acme") -> None:
        self.site, self.root, self.told = site, root, told
        self.name = root.rpartition("/")[2]

    def deliver(self, days: str, files: Mapping[str, bytes], *, assembly: str = "", below: str | None = None) -> None:
        """One delivery; `days` as in 20260101-20260201; `below`: where Parquet partitions stand instead."""
        place = f"{days}/" + (f"{assembly}/" if assembly else "") if below is None else below
        for name, data in files.items():
            self.site.put(f"{self.root}/{place}{name}", data)
        start, end = (f"{day}T000000.000Z" for day in days.split("-"))
        manifest = {
            "assemblyId": assembly or "a0000000-0000-4000-8000-000000000000",
            "account": "111122223333",
            "reportName": self.name,
            "billingPeriod": {"start": start, "end": end},
            "compression": "GZIP",
            "contentType": "text/csv",
            "reportKeys": [f"{self.told}/{place}{name}" for name in files],
        }
        for folder in {f"{days}/", f"{days}/{assembly}/" if assembly else f"{days}/"}:
            self.site.put(f"{self.root}/{folder}{self.name}-Manifest.json", json.dumps(manifest).encode())


def land(payloads: Iterable[Any], folder: Path) -> dict[str, Path]:
    """Payloads on disk as landing keeps them: CSV and JSON gzip'ed, the rest as sent."""
    files = {}
    for payload in payloads:
        data = b"".join(payload.chunks)
        packed = payload.name.endswith((".csv", ".json"))
        path = folder / (payload.name + (".gz" if packed else ""))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
        files[payload.name] = path
    return files


def total(parts: Sequence[Any], column: str) -> Decimal:
    """Σ of a canonical column over scans, as an exact decimal."""
    return sum((amount for part in parts for amount in values(part, column) if amount is not None), Decimal(0))


def values(scan: FileScan, column: str) -> list[Decimal | None]:
    """A canonical column as DuckDB reads it through the scan, row by row, as decimals."""
    name = scan.columns[column].replace('"', '""')
    files = [str(path) for path in scan.files]
    if scan.file_format == "csv":
        source = "read_csv($files, header=true, delim=',', quote='\"', escape='\"', all_varchar=true, nullstr=$nulls, "
        source += "union_by_name=true)"
        given: dict[str, Any] = {"files": files, "nulls": list(scan.null_text)}
    else:
        source, given = "read_parquet($files, hive_partitioning=false, union_by_name=true)", {"files": files}
    with duckdb.connect() as con:
        rows = con.execute(f'SELECT "{name}"::VARCHAR::DECIMAL(38, 12) FROM {source}', given).fetchall()
    return [row[0] for row in rows]
