"""Loading one large export, side by side in one run, each in a process of its own: CPU seconds, wall seconds, memory.

    python -m benchmarks.load.run [--rows 10000000] [--instants] [--pods] [--dlt .bench-venv/bin/python]

bare   DuckDB's own SELECT day, dimensions, sum(double) GROUP BY over the file: no classification, no exact decimals
wide   the same with every dimension that core.charges keeps: as many rows out, and as much said of each
load   landed file → core.charges: classified, exact, reconciled, the period replaced in one transaction
copy   the file copied into a DuckDB table, row by row, and grouped there
dlt    the file loaded into a DuckDB table by dlt, as Arrow batches, and grouped there (with --dlt)
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from benchmarks.load.bill import write_bill
from connectors.base import FileScan
from connectors.schema import FOCUS_OPTIONAL, FOCUS_REQUIRED
from warehouse.landing import LandedDelivery
from warehouse.load import load_delivery
from warehouse.store import open_warehouse

NOW = datetime(2026, 2, 3, 6, tzinfo=UTC)
GROUPED = """
SELECT
    ChargePeriodStart::DATE AS day, ServiceName, ServiceCategory, SubAccountId, SubAccountName, ChargeCategory, Tags,
    CASE WHEN ServiceName = 'Amazon Bedrock' THEN ResourceId END AS resource,
    sum(BilledCost), sum(EffectiveCost), sum(ListCost), count(*)
FROM {relation}
GROUP BY ALL
"""
OWN = ("SkuId", "SkuMeter", "ChargeDescription", "RegionId", "ResourceId", "ConsumedUnit")  # what AI charges keep
KEPT = "CASE WHEN ServiceName = 'Amazon Bedrock' OR contains(SkuMeter, 'p5') THEN {} END"
WIDE = """
SELECT
    ChargePeriodStart::DATE AS day, BillingPeriodStart::DATE AS period, BillingAccountId, SubAccountId, SubAccountName,
    InvoiceIssuerName, ProviderName, ServiceName, ServiceCategory, ChargeCategory, ChargeClass,
    CommitmentDiscountStatus, BillingCurrency, Tags, {own},
    sum(ConsumedQuantity), sum(BilledCost), sum(EffectiveCost), sum(ListCost), count(*)
FROM {relation}
GROUP BY ALL
"""


def bare(bill: Path, scratch: Path, *, grouped: str) -> int:
    with _connect(scratch / "bare.duckdb") as con:
        return _groups(con, f"read_parquet('{bill}')", grouped)


def copy(bill: Path, scratch: Path) -> int:
    with _connect(scratch / "copy.duckdb") as con:
        con.execute("CREATE TABLE bill AS SELECT * FROM read_parquet(?)", [str(bill)])
        return _groups(con, "bill", GROUPED)


def load(bill: Path, scratch: Path, *, tag_keys: tuple[str, ...] | None) -> int:
    delivery = LandedDelivery(
        source_name="aws",
        source_type="aws_data_exports",
        scope="BILLING_PERIOD=2026-01",
        window_start=date(2026, 1, 1),
        window_end=date(2026, 2, 1),
        replaces="scope",
        identity=None,
        delivery_id="bench",
        content_hash="bench",
        fetched_at=NOW,
        path=bill.parent,
        files={bill.name: bill},
    )
    names = {row[0] for row in duckdb.execute("SELECT name FROM parquet_schema(?)", [str(bill)]).fetchall()}
    columns = {name: name for name in (*FOCUS_REQUIRED, *FOCUS_OPTIONAL) if name in names}
    scan = FileScan(layout="focus", file_format="parquet", files=(bill,), columns=columns)
    with open_warehouse(scratch / "home") as warehouse:
        result = load_delivery(warehouse, delivery, (scan,), now=NOW, tag_keys=tag_keys)
    for note in result.notes:
        print(f"  note: {note}", file=sys.stderr)
    return result.charge_rows


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(str(path), config={"memory_limit": "640MB", "preserve_insertion_order": False})
    con.execute("SET TimeZone = 'UTC'")
    return con


def _groups(con: duckdb.DuckDBPyConnection, relation: str, grouped: str) -> int:
    own = ", ".join(KEPT.format(name) for name in OWN)
    row = con.sql(grouped.format(relation=relation, own=own)).aggregate("count(*)").fetchone()
    return int(row[0]) if row else 0


def measure(name: str, bill: Path, *, pods: bool) -> dict[str, float]:
    """Figures of one way, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load.run", "--only", name, "--bill", str(bill)]
    done = subprocess.run([*command, "--pods"] if pods else command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def measure_dlt(python: Path, bill: Path) -> dict[str, float]:
    """Figures of dlt, from the interpreter that has it."""
    with tempfile.TemporaryDirectory(prefix="trendbreak-load-") as scratch:
        script = Path(__file__).with_name("with_dlt.py")
        done = subprocess.run(
            [python, script, bill, scratch], check=True, stdout=subprocess.PIPE, text=True, cwd=scratch
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_one(name: str, bill: Path, *, pods: bool) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="trendbreak-load-"))
    ways: dict[str, Callable[[], int]] = {
        "bare": lambda: bare(bill, scratch, grouped=GROUPED),
        "wide": lambda: bare(bill, scratch, grouped=WIDE),
        "copy": lambda: copy(bill, scratch),
        "load": lambda: load(bill, scratch, tag_keys=None),
        "listed": lambda: load(bill, scratch, tag_keys=("feature", "team", "component")),
    }
    try:
        with open_warehouse(scratch / "home"):  # a load finds a home: making one is no part of it
            pass
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        rows = ways[name]()
        after = resource.getrusage(resource.RUSAGE_SELF)
        figures = {
            "rows": rows,
            "wall": time.perf_counter() - started,
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "peak_mb": after.ru_maxrss / 1024,
        }
        print(json.dumps(figures))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    """Generate, measure each way, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument(
        "--pods", action="store_true", help="an id per row among the tags, and an allow-list against it"
    )
    parser.add_argument("--instants", action="store_true", help="times with a zone (TIMESTAMPTZ) instead of without")
    parser.add_argument("--dlt", type=Path, metavar="PYTHON", help="interpreter that has benchmarks/requirements.txt")
    parser.add_argument("--only", choices=("bare", "wide", "copy", "load", "listed"), help=argparse.SUPPRESS)
    parser.add_argument("--bill", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        run_one(arguments.only, arguments.bill, pods=arguments.pods)
        return
    folder = Path(tempfile.mkdtemp(prefix="trendbreak-bill-"))
    try:
        bill = folder / "focus.snappy.parquet"
        # In a process of its own: a child's peak memory begins at what its parent had.
        maker = multiprocessing.get_context("spawn").Process(
            target=write_bill,
            args=(bill,),
            kwargs={"rows": arguments.rows, "pods": arguments.pods, "instants": arguments.instants},
        )
        maker.start()
        maker.join()
        columns = len(duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(bill)]).fetchall())
        print(f"{arguments.rows:,} rows × {columns} columns, {bill.stat().st_size / 1e6:.0f} MB", flush=True)
        ways = ("bare", "wide", "load", "copy") if not arguments.pods else ("bare", "wide", "listed", "load")
        found = {way: measure(way, bill, pods=arguments.pods) for way in ways}
        if arguments.dlt:
            found["dlt"] = measure_dlt(arguments.dlt.absolute(), bill)
        for way, figures in found.items():
            cpu = figures["cpu"]
            ratios = ", ".join(f"{cpu / found[other]['cpu']:5.2f} × {other}" for other in found if other != way)
            print(
                f"{way:7}{cpu:8.1f} s CPU{figures['wall']:8.1f} s wall"
                f"{figures['peak_mb']:7.0f} MB peak{figures['rows']:>11,.0f} rows out  {ratios}"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
