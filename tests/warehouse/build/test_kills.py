"""kill -9 at random moments of land, load and build: the next run ends with exact totals."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from decimal import Decimal
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.bills import Home, one, rows_of
from tests.warehouse.build.small_run import expected, run_round
from warehouse.store import open_warehouse

KILLS = int(os.environ.get("TRENDBREAK_KILLS", "10"))  # `make test-faults` sets more


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Children come from a server that has done the imports: a run takes its own time and no more."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warehouse.build.small_run"])
    return context


def start(processes: ForkServerContext, root: Path, round_number: int) -> ForkServerProcess:
    child = processes.Process(target=run_round, args=(str(root), round_number))
    child.start()
    return child


def finish(child: ForkServerProcess) -> None:
    child.join(60)
    assert child.exitcode == 0


def check(root: Path, round_number: int) -> None:
    totals = expected(round_number)
    with open_warehouse(root, threads=1) as wh:
        found: dict[Any, Any] = dict(
            wh.con.execute("SELECT source_name, sum(effective_cost) FROM core.charges GROUP BY 1").fetchall()
        )
        assert found == {source: totals[source] for source in ("bills", "openai")}
        for table in ("core.allocations", "focus.cost_and_usage"):
            column = "EffectiveCost" if table.startswith("focus") else "effective_cost"
            assert one(wh, f"SELECT sum({column}) FROM {table}") == sum(found.values())
        assert one(wh, "SELECT sum(effective_cost_usd) FROM marts.feature_cost_daily") == sum(found.values())
        assert one(wh, "SELECT count(*) FROM staging.stg_calls") == totals["calls"]
        assert one(wh, "SELECT sum(calls) FROM core.usage") == totals["calls"]
        assert one(wh, "SELECT sum(successful_tasks) FROM core.usage") == totals["calls"] / 2
        current = "SELECT scope FROM ops.deliveries WHERE is_current AND replaces = 'scope'"
        assert rows_of(wh, f"{current} GROUP BY ALL HAVING count(*) > 1") == []
        moved = "SELECT sum(delta_effective_cost) FROM ops.restatements WHERE source_name = 'bills'"
        first = expected(0)["bills"]
        assert first + Decimal(one(wh, moved) or 0) == totals["bills"]
    assert list((root / "landing").glob("*/*/*.partial-*")) == []


@pytest.mark.faults
def test_a_killed_run_leaves_nothing_that_the_next_one_does_not_mend(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    chance = random.Random(20260203)
    finish(start(processes, tmp_path, 0))
    check(tmp_path, 0)
    started = time.monotonic()
    finish(start(processes, tmp_path, 1))
    whole_seconds = time.monotonic() - started
    for round_number in range(2, KILLS + 2):
        child = start(processes, tmp_path, round_number)
        time.sleep(chance.uniform(0.02, 1.0) * whole_seconds)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(60)
        finish(start(processes, tmp_path, round_number))
        if round_number % 5 == 0:
            check(tmp_path, round_number)
    check(tmp_path, KILLS + 1)


def test_of_two_runs_at_once_the_second_says_who_is_first(processes: ForkServerContext, tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.open():
        second = start(processes, tmp_path, 0)
        second.join(60)
        assert second.exitcode == 1  # WarehouseLocked, which names this process: see tests/warehouse/store
    finish(start(processes, tmp_path, 0))
    check(tmp_path, 0)
