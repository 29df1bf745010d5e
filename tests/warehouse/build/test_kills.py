"""kill -9 at random moments of land, load and build: the next run ends with exact totals."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.bills import Home, one, rows_of
from tests.warehouse.build.small_run import expected, run_forget, run_rename, run_round
from warehouse.landing import Landing
from warehouse.store import open_warehouse

KILLS = int(os.environ.get("TRENDBREAK_KILLS", "10"))  # of the long form; `make test-faults` sets more


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


def kill_runs(processes: ForkServerContext, tmp_path: Path, kills: int) -> None:
    """Kill a run `kills` times somewhere on its way; the next one ends with the totals of its round."""
    chance = random.Random(20260203)
    finish(start(processes, tmp_path, 0))
    check(tmp_path, 0)
    started = time.monotonic()
    finish(start(processes, tmp_path, 1))
    whole_seconds = time.monotonic() - started
    for round_number in range(2, kills + 2):
        child = start(processes, tmp_path, round_number)
        time.sleep(chance.uniform(0.02, 1.0) * whole_seconds)
        assert child.pid is not None
        with suppress(ProcessLookupError):  # it was quicker than the run that was timed
            os.kill(child.pid, signal.SIGKILL)
        child.join(60)
        finish(start(processes, tmp_path, round_number))
        if round_number % 5 == 0:
            check(tmp_path, round_number)
    check(tmp_path, kills + 1)


def test_three_killed_runs_leave_nothing_that_the_next_ones_do_not_mend(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    kill_runs(processes, tmp_path, 3)


@pytest.mark.faults
def test_many_killed_runs_leave_nothing_that_the_next_ones_do_not_mend(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    kill_runs(processes, tmp_path, KILLS)


def kill_midway(child: ForkServerProcess, seconds: float) -> None:
    child.start()
    time.sleep(seconds)
    assert child.pid is not None
    with suppress(ProcessLookupError):  # it was quicker than the run that was timed
        os.kill(child.pid, signal.SIGKILL)
    child.join(60)


@pytest.mark.faults
def test_a_killed_rename_or_forget_is_all_or_nothing_and_ends_when_it_runs_again(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    chance = random.Random(20260204)
    finish(start(processes, tmp_path, 0))
    root, whole = str(tmp_path), expected(0)["bills"]
    charges = "SELECT source_name, sum(effective_cost) FROM core.charges WHERE source_name <> 'openai' GROUP BY 1"
    current = "SELECT count(*) FROM ops.deliveries WHERE is_current AND source_name = "

    def run_whole(target: Callable[..., None], *names: str) -> float:
        started = time.monotonic()
        child = processes.Process(target=target, args=(root, *names))
        child.start()
        finish(child)
        return time.monotonic() - started

    def read(sql: str) -> list[Any]:
        with open_warehouse(tmp_path, threads=1) as wh:
            return list(rows_of(wh, sql))

    seconds = run_whole(run_rename, "bills", "books")
    old, new = "books", "bills"
    for _ in range(max(3, KILLS // 2)):
        kill_midway(processes.Process(target=run_rename, args=(root, old, new)), chance.uniform(0.1, 1.0) * seconds)
        assert read(charges) in ([(old, whole)], [(new, whole)])
        run_whole(run_rename, old, new)
        assert read(charges) == [(new, whole)]
        assert read(f"{current} '{old}'") == [(0,)]
        assert {landed.source_name for landed in Landing(tmp_path / "landing").deliveries()} == {new, "openai", "calls"}
        old, new = new, old
    for source, gone in ((old, charges), ("calls", "SELECT task_id FROM staging.stg_calls")):
        kill_midway(processes.Process(target=run_forget, args=(root, source)), chance.uniform(0.3, 1.0) * seconds)
        assert read(charges) in ([(old, whole)], [])
        run_whole(run_forget, source)
        assert read(gone) == []
        assert read(f"{current} '{source}'") == [(0,)]


def test_of_two_runs_at_once_the_second_says_who_is_first(processes: ForkServerContext, tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.open():
        second = start(processes, tmp_path, 0)
        second.join(60)
        assert second.exitcode == 1  # WarehouseLocked, which names this process: see tests/warehouse/store
    finish(start(processes, tmp_path, 0))
    check(tmp_path, 0)
