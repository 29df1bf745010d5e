"""A day of telemetry through the real connector, landing, load and the models: seconds of each step, and memory.

    python -m benchmarks.telemetry.run [--events 10000000] [--jsonl] [--home FOLDER]

The steps run in a process of their own, on two threads, so that the peak is theirs alone. `aggregate` is what the
build does with staged calls: duplicates, tasks, prices, users, usage by day and hour; `waste and users' months` are the
marts that look at single calls again. The file is made beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

DAY = date(2026, 1, 5)
SHARE_DOUBLED = 0.001
CHUNK = 500_000


def write_events(path: Path, events: int, *, as_lines: bool) -> None:
    """Two calls a task, 5% retries, nine features, 200,000 users; a thousandth of the calls is reported twice."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    start = np.datetime64(datetime(DAY.year, DAY.month, DAY.day), "us")  # noqa: DTZ001
    writer = None
    with path.open("wb") as lines:
        for first in range(0, events, CHUNK):
            count = min(CHUNK, events - first)
            number = np.arange(first, first + count)
            doubled = rng.random(count) < SHARE_DOUBLED
            number = np.where(doubled & (number > first), number - 1, number)
            spread = (number * 86_400_000_000 // events).astype("timedelta64[us]")
            feature = pa.array([f"feature_{n}" for n in range(9)]).take(pa.array(number // 2 % 9))
            columns = {
                "time": pa.array(start + spread, pa.timestamp("us", "UTC")),
                "provider": pa.array(["openai"]).take(pa.array(np.zeros(count, int))),
                "model": pa.array(["gpt-5-mini", "gpt-5"]).take(pa.array(number // 2 % 2)),
                "feature": feature,
                "task_id": pa.array(np.char.add("task-", (number // 2).astype(str))),
                "attempt": pa.array(np.where(rng.random(count) < 0.05, 2, 1)),
                "status": pa.array(["ok", "error"]).take(pa.array((rng.random(count) < 0.02).astype(int))),
                "outcome": pa.array(["resolved", "escalated", None]).take(pa.array(number // 2 % 3)),
                "response_id": pa.array(np.char.add("resp_", number.astype(str))),
                "user_id": pa.array(np.char.add("u", rng.integers(0, 200_000, count).astype(str))),
                "plan": pa.array(["free", "pro"]).take(pa.array(number % 2)),
                "input_tokens": pa.array(rng.integers(1, 4000, count)),
                "cache_read_tokens": pa.array(rng.integers(0, 4000, count)),
                "output_tokens": pa.array(rng.integers(1, 800, count)),
                "latency_ms": pa.array(rng.integers(50, 9000, count)),
            }
            table = pa.table(columns)
            if as_lines:
                texts = {n: [str(v) for v in c.to_pylist()] for n, c in columns.items() if n == "time"}
                rows = table.drop_columns(["time"]).to_pylist()
                for row, moment in zip(rows, texts["time"], strict=True):
                    lines.write(json.dumps({"time": moment, **row}).encode() + b"\n")
            else:
                writer = writer or pq.ParquetWriter(lines, table.schema, compression="zstd")
                writer.write_table(table)
        if writer is not None:
            writer.close()


class Clock:
    """Wall and CPU seconds per step."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, float]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.steps[name] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure(path: Path, home: Path) -> dict[str, object]:
    """The steps over one file of events, in this process."""
    import pyarrow as pa

    from connectors.base import Window
    from connectors.events import Events, EventsOptions
    from warehouse.build import build
    from warehouse.features import parse_features
    from warehouse.landing import Landing
    from warehouse.load import load_delivery
    from warehouse.model_runner import read_models, run_models
    from warehouse.prices import PriceBook
    from warehouse.prices.tables import apply_prices
    from warehouse.store import open_warehouse
    from warehouse.telemetry import derive_tasks

    pa.set_cpu_count(2)
    names = ", ".join(f"feature_{n}: {{success: {{outcomes: [resolved]}}}}" for n in range(9))
    features = parse_features(f"version: 1\nfeatures: {{{names}}}")
    now = datetime(DAY.year, DAY.month, DAY.day + 1, 9, tzinfo=UTC)
    clock = Clock()
    connector = Events(name="calls", options=EventsOptions(location=str(path), user_hash_key="pepper"))  # type: ignore[arg-type]
    [ref] = connector.discover(Window(DAY, now.date()))
    with clock.step("project and land"):
        delivery = Landing(home / "landing").store(ref, connector.fetch(ref), source_type="events", fetched_at=now)
    with open_warehouse(home, threads=2) as wh:
        with clock.step("stage"):
            parsed = connector.parse(delivery.files)
            staged = load_delivery(wh, delivery, parsed.parts, now=now)
        models = {model.table: model for model in read_models()}
        with clock.step("aggregate: tasks"):
            derive_tasks(wh)
        with clock.step("aggregate: prices and users"):
            wh.commit(lambda: (features.apply_tables(wh.con), apply_prices(wh.con, PriceBook())))
        with clock.step("aggregate: usage"):
            wh.commit(lambda: run_models(wh.con, [models["core.usage"], models["core.usage_hourly"]]))
        build(wh, features=features, run_id="first", now=now, as_of=now.date(), settled_through={})
        with clock.step("waste and users' months"):
            calls_again = [models["marts.waste_daily"], models["marts.user_cost_monthly"]]
            wh.commit(lambda: run_models(wh.con, calls_again))
        sums = wh.con.execute("SELECT sum(calls), sum(tasks), sum(input_tokens) FROM core.usage").fetchone()
    return {
        "events": staged.source_rows,
        "calls_tasks_tokens": sums,
        "seconds": clock.steps,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--jsonl", action="store_true", help="JSON lines instead of Parquet")
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "HOME"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(Path(given.measure[0]), Path(given.measure[1])), default=str))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("events.jsonl" if given.jsonl else "events.parquet")
        write_events(path, given.events, as_lines=given.jsonl)
        command = [sys.executable, "-m", "benchmarks.telemetry.run", "--measure", str(path), f"{folder}/home"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
        found = json.loads(done.stdout.splitlines()[-1])
    print(f"{found['events']:,} events ({path.suffix[1:]}); calls, tasks, input tokens: {found['calls_tasks_tokens']}")
    for name, seconds in found["seconds"].items():
        print(f"  {name:<28} {seconds['wall']:7.1f} s wall  {seconds['cpu']:7.1f} s CPU")
    print(f"  peak memory                  {found['peak_mb']:7.0f} MB")


if __name__ == "__main__":
    main()
