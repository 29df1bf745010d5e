"""The whole path at scale: time per step, peak memory, disk; and what follows for more months, said as such.

python -m benchmarks.scale.run --months 3 --rows 1000000              the daily run over all of it
python -m benchmarks.scale.run --months 24 --rows 50000 --backfill    the same by `trendbreak backfill`
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

from benchmarks.scale.bill import write_bill, write_configuration

ROOT = Path(__file__).resolve().parents[2]
FIRST = date(2024, 7, 1)


def main() -> None:
    """Generate, run in a process of its own, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows per month")
    parser.add_argument("--backfill", action="store_true")
    parser.add_argument("--keep", type=Path, help="work here, and keep it")
    arguments = parser.parse_args()
    scratch = arguments.keep or Path(tempfile.mkdtemp(prefix="trendbreak-scale-"))
    try:
        measure(scratch, arguments.months, arguments.rows, backfill=arguments.backfill)
    finally:
        if arguments.keep is None:
            shutil.rmtree(scratch, ignore_errors=True)


def measure(folder: Path, months: int, rows: int, *, backfill: bool) -> None:
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    size = write_bill(folder / "bill", first=FIRST, months=months, rows_per_month=rows)
    write_configuration(folder)
    print(f"{months} months × {rows:,} rows, {mebibytes(size)} of Parquet, written in {seconds_since(started)}")
    last = month_after(FIRST, months)
    command = ["run", "--direct", "--as-of", str(last)]
    if backfill:
        command = [
            "backfill", "--since", str(FIRST), "--until", str(date.fromordinal(last.toordinal() - 1)),
            "--as-of", str(last), "--reason", "scale",
        ]  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "flows", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    print(f"trendbreak {' '.join(command[:1])}: {took:.1f} s")
    report(folder / "home", months * rows, took)


def report(home: Path, rows: int, took: float) -> None:
    from warehouse.state import StateStore

    steps = StateStore(f"sqlite:///{home / 'state.sqlite'}").list_runs()[-1]["details"]["seconds"]
    for step, seconds in steps.items():
        print(f"  {step:<20} {seconds:8.2f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB")
    for name in ("landing", "warehouse", "published"):
        total = sum(path.stat().st_size for path in (home / name).rglob("*") if path.is_file())
        print(f"  {name:<20} {mebibytes(total)}")
    per_row = steps.get("load aws", took) / rows  # the other steps work on daily sums, whatever the rows
    print(f"extrapolated, not measured: {per_row * 1e9 / 3600:.1f} hours of loading for 1,000,000,000 rows")


def month_after(first: date, months: int) -> date:
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, 1)


def mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


def seconds_since(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"


if __name__ == "__main__":
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    main()
