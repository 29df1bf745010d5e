"""kill -9 within a load of each kind: what stands is the old or the new delivery whole, and loading again ends it."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.warehouse.bills import Home, rows_of
from tests.warehouse.load.killed_load import KINDS, load

STANDS = (
    "SELECT 'charges', count(*), sum(billed_cost), sum(effective_cost), sum(source_rows) FROM core.charges",
    "SELECT 'usage', count(*), sum(input_tokens), NULL, NULL FROM core.metered_usage",
    "SELECT 'days', count(*), sum(billed_cost), sum(effective_cost), sum(source_rows) FROM ops.delivery_days "
    "WHERE is_current",
    "SELECT 'deliveries', count(*), sum(source_rows), sum(billed_cost), NULL FROM ops.deliveries WHERE is_current",
)
CALLS = "SELECT 'calls', count(*), count(DISTINCT task_id), NULL, NULL FROM staging.stg_calls"
# Staged and not begun; rows out and not in; rows in, not recorded; all done and not committed.
WORDS = ("BEGIN TRANSACTION", "INSERT INTO {}", "INSERT INTO ops.deliveries BY NAME", "COMMIT")
# Runs killed at random moments are in tests/warehouse/build: here every time are the kinds that those do not have.
OFTEN = ("split_bill", "calls")


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warehouse.load.killed_load"])
    return context


def stands(root: Path, *, with_calls: bool = True) -> list[object]:
    with Home(root).open() as wh:
        return [rows_of(wh, sql) for sql in (*STANDS, *((CALLS,) if with_calls else ()))]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in OFTEN else pytest.mark.faults) for kind in KINDS]
)
def test_a_killed_load_is_all_or_nothing(processes: ForkServerContext, tmp_path: Path, kind: str) -> None:
    new_root, root = tmp_path / "new", tmp_path / "home"
    for version in (1, 2):
        load(str(new_root), kind, version)
    new = stands(new_root)
    load(str(root), kind, 1)
    old = stands(root)
    assert new != old
    table = {"calls": "staging.", "emptied": "ops."}.get(kind, "core.")
    for word in WORDS:
        child = processes.Process(target=load, args=(str(root), kind, 2, word.format(table)))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
        # Telemetry lies in a file of its own: calls that no delivery vouches for are replaced below.
        assert stands(root, with_calls=False) == old[: len(STANDS)]
    load(str(root), kind, 2)
    assert stands(root) == new
    load(str(root), kind, 2)
    assert stands(root) == new
