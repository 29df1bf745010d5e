"""A warehouse that is emptied, damaged or gone is made anew from landing: the same tables, whatever happened before."""

from __future__ import annotations

import hashlib
import io
import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from flows.commands.rebuild import rebuild
from flows.commands.standing import forget_source
from flows.run import open_run
from flows.settings import load_settings
from flows.steps.direct import run_direct
from flows.summary import show_summary, summarise
from tests.flows.checksums import checksums_of
from tests.flows.command import trendbreak
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from warehouse.errors import StoreError

DAYS = 25


def checksums(home: Path) -> dict[str, tuple[int, str]]:
    return checksums_of(home / "data" / "published" / "trendbreak.duckdb")


def rows_of_state(home: Path) -> str:
    import sqlite3

    with sqlite3.connect(home / "data" / "state.sqlite") as con:
        return hashlib.sha256("\n".join(con.iterdump()).encode()).hexdigest()


def other_bill(days: int, factor: Decimal, account: str) -> str:
    lines = bill_lines(first_day(days), days, last_factor=factor, last_days=days)
    return "\n".join(line.replace("123456789012", account) for line in lines) + "\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hostile mix: a restated bill, a corrected one under its name, a superseded month, a forgotten file, calls."""
    folder = tmp_path_factory.mktemp("rebuild")
    config = write_small_home(folder, days=DAYS)
    (folder / "events").mkdir()
    config.write_text(
        config.read_text().replace(
            "features: features.yml",
            "  - {name: calls, type: events, location: ./events}\nfeatures: features.yml",
        )
    )
    inbox = folder / "inbox"
    (inbox / "gone.csv").write_text(other_bill(10, Decimal(3), "999"))
    (inbox / "stays.csv").write_text(other_bill(12, Decimal(1), "777"))
    calls = [
        f'{{"time":"{first_day(DAYS) + timedelta(days=n)}T10:00:00Z","provider":"openai","model":"gpt-5",'
        f'"feature":"support_chat","task_id":"t{n}","outcome":"resolved","input_tokens":10,"output_tokens":2}}'
        for n in range(DAYS)
    ]
    (folder / "events" / "calls.jsonl").write_text("\n".join(calls[:10]) + "\n")
    run(folder)
    (inbox / "bill.csv").write_text(
        "\n".join(bill_lines(first_day(DAYS), DAYS, last_factor=Decimal(2), last_days=3)) + "\n"
    )
    (folder / "events" / "calls.jsonl").write_text("\n".join(calls) + "\n")
    (inbox / "gone.csv").unlink()
    run(folder)
    forget_source(load_settings(config), "drop", "gone.csv", Console(file=io.StringIO()))
    (inbox / "stays.csv").write_text(other_bill(12, Decimal("1.5"), "777"))
    run(folder)
    return folder


def run(folder: Path) -> str:
    """A daily run in this process; what it said of its sources."""
    with open_run(load_settings(folder / "trendbreak.yml")) as opened:
        run_direct(opened)
        summary = summarise(opened)
    assert not summary.failures
    console = Console(file=io.StringIO(), record=True, width=200)
    show_summary(summary, console)
    return console.export_text()


def rebuild_home(folder: Path) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), record=True, width=500)
    return rebuild(load_settings(folder / "trendbreak.yml"), console), console.export_text()


@pytest.mark.parametrize("damage", ["emptied, with what was published", "overwritten"])
def test_the_same_tables_come_out_of_landing(home: Path, damage: str) -> None:
    before, state = checksums(home), rows_of_state(home)
    assert before["ops.restatements"][0] > 0
    warehouse = home / "data" / "warehouse"
    if damage == "overwritten":
        (warehouse / "trendbreak.duckdb").write_bytes(b"not a database" * 1000)
        with pytest.raises(StoreError, match="`trendbreak rebuild` makes it anew"):
            run(home)
    else:
        shutil.rmtree(warehouse)
        shutil.rmtree(home / "data" / "published")
    done = trendbreak("rebuild", cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    after = checksums(home)
    assert {table: after.get(table) for table in before} == before
    assert rows_of_state(home) == state
    assert not (home / "data" / ".rebuild").exists()


def test_the_next_run_goes_on_from_there(home: Path) -> None:
    before = checksums(home)
    assert "drop: nothing new" in run(home)
    after = checksums(home)
    for table in ("core.charges", "core.allocations", "marts.feature_cost_daily", "marts.restatements"):
        assert after[table] == before[table]


def test_a_landed_delivery_that_is_gone_is_named_and_fetched_anew(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    charges = checksums(copy)["core.charges"]
    for manifest in (copy / "data" / "landing" / "drop").glob("*/*/manifest.json"):
        if '"scope": "stays.csv"' in manifest.read_text():
            shutil.rmtree(manifest.parent)
    is_whole, said = rebuild_home(copy)
    assert not is_whole
    assert "stays.csv: its landed delivery" in said
    run(copy)
    assert checksums(copy)["core.charges"] == charges


def test_without_a_record_landing_is_replayed_in_the_order_of_fetching(ran: Path) -> None:
    (ran / "inbox" / "bill.csv").write_text(
        "\n".join(bill_lines(first_day(), 60, last_factor=Decimal(2), last_days=3)) + "\n"
    )
    run(ran)
    before = checksums(ran)
    shutil.rmtree(ran / "data" / "warehouse")
    shutil.rmtree(ran / "data" / "landing" / ".record")
    assert rebuild_home(ran)[0]
    after = checksums(ran)
    for table in ("core.charges", "marts.feature_cost_daily", "marts.feature_cost_monthly", "marts.restatements"):
        assert after[table] == before[table], table
