"""A daily refresh that changes one billing period, with a short and a long history: does what stands there cost?

    python -m benchmarks.load.history [--months 2 24] [--rows 200000] [--rounds 5]

Each round rewrites the newest period of a local AWS export and brings it in, from discover to core, in turn with the
other history; CPU seconds, medians. The rest of a daily run (models, forecasts) works on daily sums and is not here.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.scale.bill import write_bill
from benchmarks.scale.run import month_after
from flows.run import open_run
from flows.settings import load_settings
from flows.steps.ingest import fetch_source, load_source, sweep

LAST = date(2026, 6, 1)
CONFIGURATION = """\
home: ./data
sources:
  - {name: aws, type: aws_data_exports, location: ./export}
"""


def deliver(folder: Path, month: date, rows: int) -> None:
    """One period of the export, as AWS writes it: the data, then the manifest."""
    period = f"BILLING_PERIOD={month:%Y-%m}"
    data = folder / "export/data" / period
    write_bill(data, first=month, months=1, rows_per_month=rows)
    names = [f"s3://bucket/export/data/{period}/{path.name}" for path in sorted(data.iterdir())]
    manifest = folder / "export/metadata" / period / "export-Manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"dataFiles": names}))


def refresh(folder: Path, now: datetime) -> float:
    """CPU seconds from discover to core; the source must have brought news."""
    began = _cpu()
    with open_run(load_settings(folder / "trendbreak.yml"), now=now) as run:
        sweep(run)
        [source] = run.sources
        load_source(run, source, fetch_source(run, source))
        if run.failures or not run.loads.get(source.name):
            raise SystemExit(f"nothing came in: {run.failures}")
    return _cpu() - began


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Fill each history, refresh in turn, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, nargs=2, default=(2, 24), metavar=("SHORT", "LONG"))
    parser.add_argument("--rows", type=int, default=200_000, help="rows of a period")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="trendbreak-history-"))
    now = datetime(LAST.year, LAST.month, 20, 6, tzinfo=UTC)
    try:
        folders = {months: root / str(months) for months in arguments.months}
        for months, folder in folders.items():
            folder.mkdir()
            (folder / "trendbreak.yml").write_text(CONFIGURATION)
            (folder / "features.yml").write_text("version: 1\nfeatures: {}\nrules: []\n")
            for back in range(months):
                deliver(folder, month_after(LAST, -back), arguments.rows)
            print(f"{months} months × {arguments.rows:,} rows: first load {refresh(folder, now):.1f} s CPU", flush=True)
        took: dict[int, list[float]] = {months: [] for months in folders}
        for number in range(1, arguments.rounds + 1):
            for months, folder in folders.items():
                deliver(folder, LAST, arguments.rows + number)
                took[months].append(refresh(folder, now + timedelta(days=number)))
        short, long = (statistics.median(took[months]) for months in arguments.months)
        for months, median in zip(arguments.months, (short, long), strict=True):
            print(f"one changed period beside {months - 1} others: {median:.2f} s CPU (median of {arguments.rounds})")
        print(f"ratio {long / short:.2f}")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
