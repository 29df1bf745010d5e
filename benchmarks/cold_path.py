"""Time the statistics of a daily run in a cold process, without Prefect: from the warehouse and back.

    python -m benchmarks.cold_path                      50 features, 400 days
    python -m benchmarks.cold_path --features 200

A home is made from an invented FOCUS bill by a real run; then a fresh Python process opens it, reads the series,
forecasts, detects, decides, and writes forecasts and incidents to the state store. Printed: seconds of wall clock and
of CPU per process, the best and the median of `--repeats`.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np

LAST_DAY = date(2026, 5, 31)
AS_OF = LAST_DAY + timedelta(days=3)
HEADER = (
    "BilledCost,EffectiveCost,ListCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargeCategory,ChargePeriodStart,ChargePeriodEnd,InvoiceIssuerName,ProviderName,ServiceName,ServiceCategory,"
    "SubAccountId,Tags"
)
COLD = """
import sys
from datetime import datetime
from pathlib import Path
from flows.steps.alert import find_incidents
from flows.steps.forecast import make_forecasts
from flows.run import open_run
from flows.settings import load_settings
from warehouse.series import read_settled

now = datetime.fromisoformat(sys.argv[2])
with open_run(load_settings(Path(sys.argv[1])), as_of=now.date(), now=now) as run:
    run.feature_through = {row["feature"]: row["settled_through"] for row in read_settled(run.warehouse.con)}
    run.data_through = min(run.feature_through.values())
    make_forecasts(run)
    find_incidents(run)
    assert run.forecast is not None and len(run.panel.features) >= int(sys.argv[3])
"""


def write_home(folder: Path, features: int, days: int) -> Path:
    """A bill of `features` tagged features over `days` days, and its configuration."""
    rng = np.random.default_rng(7)
    names = [f"feature_{k:03d}" for k in range(features)]
    level = np.exp(rng.normal(4.5, 1.2, features))
    lines = [HEADER]
    for offset in range(days):
        day = LAST_DAY - timedelta(days=days - 1 - offset)
        period = day.replace(day=1)
        end = (period + timedelta(days=32)).replace(day=1)
        weekend = 0.6 if day.weekday() >= 5 else 1.0
        for name, usd in zip(names, level * weekend * np.exp(rng.normal(0, 0.08, features)), strict=True):
            lines.append(
                f"{usd:.6f},{usd:.6f},{usd:.6f},1,USD,{period}T00:00:00Z,{end}T00:00:00Z,Usage,{day}T00:00:00Z,"
                f"{day + timedelta(days=1)}T00:00:00Z,AWS,AWS,Amazon Bedrock,AI and Machine Learning,1,"
                f'"{{""feature"": ""{name}""}}"'
            )
    (folder / "inbox").mkdir()
    (folder / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    rules = "".join(f"  - {{when: {{tag.feature: {name}}}, feature: {name}}}\n" for name in names)
    (folder / "features.yml").write_text(
        f"version: 1\nfeatures: {{{', '.join(f'{name}: {{}}' for name in names)}}}\nrules:\n{rules}"
    )
    config = folder / "trendbreak.yml"
    config.write_text(
        "home: ./data\nsources:\n  - {name: drop, type: focus_files, location: ./inbox}\nfeatures: features.yml\n"
    )
    return config


def measure(features: int, days: int, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds by the clock and of processor time of `repeats` cold processes."""
    from flows.run import open_run
    from flows.settings import load_settings
    from flows.steps.direct import run_direct

    with tempfile.TemporaryDirectory() as name:
        config = write_home(Path(name), features, days)
        now = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 9, tzinfo=UTC)
        with open_run(load_settings(config), as_of=AS_OF, now=now) as run:
            run_direct(run)
        walls, cpus = [], []
        for repeat in range(repeats):
            later = now + timedelta(hours=repeat + 1)
            before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([sys.executable, "-c", COLD, str(config), later.isoformat(), str(features)], check=True)
            walls.append(time.perf_counter() - begin)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return walls, cpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    walls, cpus = measure(arguments.features, arguments.days, arguments.repeats)
    print(f"{arguments.features} features of {arguments.days} days, forecast and detection in a cold process:")
    print(f"{min(walls):.2f} s best, {median(walls):.2f} s median (CPU {min(cpus):.2f}, {median(cpus):.2f})")


if __name__ == "__main__":
    main()
