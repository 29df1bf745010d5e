"""Twenty readers who query without pause while a run rebuilds and publishes twenty times.

Neither an error nor a torn read, always; and, in the long form (`make test-faults`), no reader waits for the
publishing: p99 within twice that of the same readers beside an equal load of CPU that publishes nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from decimal import Decimal
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pytest

from tests.warehouse.ledger import NOW, add_charges, build_marts, charge
from tests.warehouse.published import features, make_home, published_path, state_of
from warehouse.publish import publish
from warehouse.store import open_warehouse

# One answer holds everything that a torn file would mix: charges, allocations, a mart and FOCUS.
QUESTION = """
SELECT
    (SELECT sum(effective_cost) FROM core.charges),
    (SELECT sum(effective_cost) FROM core.allocations),
    (SELECT sum(effective_cost_usd) FROM marts.feature_cost_daily),
    (SELECT sum(EffectiveCost) FROM focus.cost_and_usage)
"""
RUNS = int(os.environ.get("TRENDBREAK_PUBLICATIONS", "20"))
STEP = Decimal(1000)  # what each run adds to the bill


class Seen(NamedTuple):
    """What one reader saw: seconds per query, sums in order of their change, and what was wrong."""

    seconds: list[float]
    sums: list[Decimal]
    wrong: list[str]


def read_on(published: str, ready: Event, over: Event, answers: Connection) -> None:
    """Open, ask, close, without pause, until `over`; then send what was seen."""
    seen = Seen([], [], [])
    while not over.is_set():
        started = time.perf_counter()
        try:
            with duckdb.connect(published, read_only=True, config={"threads": 1}) as con:
                row = con.execute(QUESTION).fetchone()
        except Exception as error:
            seen.wrong.append(repr(error))
            break
        seen.seconds.append(time.perf_counter() - started)
        assert row is not None
        if len(set(row)) != 1:
            seen.wrong.append(f"torn: {row}")
        if not seen.sums or seen.sums[-1] != row[0]:
            seen.sums.append(row[0])
        ready.set()
    ready.set()
    answers.send(seen)


def with_readers(published: Path, count: int, work: Callable[[], None]) -> list[Seen]:
    """What `count` readers, each a process of its own, see while `work` is done."""
    context: ForkServerContext = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warehouse.publish.test_readers", "duckdb"])
    over, children = context.Event(), []
    for _ in range(count):
        ready, (receiver, sender) = context.Event(), context.Pipe(duplex=False)
        child = context.Process(target=read_on, args=(str(published), ready, over, sender))
        child.start()
        sender.close()
        children.append((child, ready, receiver))
    try:
        for _, ready, _ in children:
            assert ready.wait(120)
        work()
    finally:
        over.set()
        seen = [receiver.recv() for _, _, receiver in children if receiver.poll(60)]
        for child, _, _ in children:
            child.join(60)
    assert [child.exitcode for child, _, _ in children] == [0] * count
    assert len(seen) == count
    return seen


def run_times(home: Path, published: Path | None, runs: int) -> None:
    """Each run adds STEP to the bill, rebuilds everything and publishes, unless `published` is None."""
    with open_warehouse(home, threads=1) as wh:
        for run in range(runs):
            add_charges(wh, [charge(STEP, resource_id=f"new-{run}")])
            build_marts(wh, features(), run_id=f"run-{run}")
            if published is not None:
                publish(wh, state_of(home), published=published, now=NOW)


def sum_of(published: Path) -> Decimal:
    with duckdb.connect(str(published), read_only=True) as con:
        row = con.execute("SELECT sum(effective_cost) FROM core.charges").fetchone()
    assert row is not None
    return Decimal(row[0])


def check(seen: list[Seen], first: Decimal, runs: int) -> None:
    """No error, no torn read, and each reader goes forward through whole snapshots only."""
    assert [wrong for reader in seen for wrong in reader.wrong] == []
    whole = [first + STEP * run for run in range(runs + 1)]
    for reader in seen:
        assert reader.sums == [total for total in whole if total in set(reader.sums)]
    assert {reader.sums[0] for reader in seen} == {first}
    assert len({total for reader in seen for total in reader.sums}) >= 2


def p99(seen: list[Seen]) -> float:
    return float(np.quantile([seconds for reader in seen for seconds in reader.seconds], 0.99))


def test_readers_see_whole_snapshots_only(tmp_path: Path) -> None:
    make_home(tmp_path)
    published, runs = published_path(tmp_path), 2
    first = sum_of(published)
    seen = with_readers(published, 2, lambda: run_times(tmp_path, published, runs))
    check(seen, first, runs)


@pytest.mark.faults
def test_twenty_readers_do_not_wait_for_twenty_publications(tmp_path: Path) -> None:
    make_home(tmp_path)
    published, runs = published_path(tmp_path), RUNS
    first = sum_of(published)
    # The equal load: the same runs over another home, which publish nothing.
    make_home(tmp_path / "apart")
    beside = with_readers(published, 20, lambda: run_times(tmp_path / "apart", None, runs))
    assert {tuple(reader.sums) for reader in beside} == {(first,)}
    seen = with_readers(published, 20, lambda: run_times(tmp_path, published, runs))
    check(seen, first, runs)
    asked = sum(len(reader.seconds) for reader in seen)
    print(
        f"\n20 readers, {runs} publications, {asked} queries: p99 {p99(seen) * 1000:.0f} ms; "
        f"beside an equal load {p99(beside) * 1000:.0f} ms"
    )
    assert p99(seen) <= 2 * p99(beside)
