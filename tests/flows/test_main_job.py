"""The main job, whole: from a bill in a folder to a published snapshot and an alert, through the command line."""

import json
import os
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.flows.command import trendbreak
from tests.flows.small_bill import bill_lines, first_day, write_small_home


def ask(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "data" / "published" / "trendbreak.duckdb"), read_only=True) as published:
        return published.execute(sql).fetchall()


def rewrite_bill(folder: Path, **changes: Any) -> None:
    (folder / "inbox" / "bill.csv").write_text("\n".join(bill_lines(first_day(), 60, **changes)) + "\n")


def billed(lines: list[str]) -> Decimal:
    return sum((Decimal(line.split(",")[0]) for line in lines[1:]), Decimal(0))


def test_a_bill_becomes_charges_allocations_and_marts_exactly_and_running_again_changes_nothing(ran: Path) -> None:
    expected = billed(bill_lines(first_day(), 60))
    sums = "SELECT (SELECT sum(billed_cost) FROM core.charges), (SELECT sum(billed_cost) FROM core.allocations)"
    assert ask(ran, sums) == [(expected, expected)]
    assert {row[0] for row in ask(ran, "SELECT DISTINCT feature FROM core.allocations")} == {
        "support_chat",
        "unallocated",
    }
    assert ask(ran, "SELECT count(*) FROM ops.reconciliations WHERE NOT is_equal") == [(0,)]
    before = ask(ran, "SELECT * EXCLUDE (delivery_id) FROM core.charges ORDER BY ALL")
    again = trendbreak("run", "--direct", cwd=ran)
    assert again.returncode == 0, again.stderr
    assert "drop: nothing new" in again.stdout
    assert ask(ran, "SELECT * EXCLUDE (delivery_id) FROM core.charges ORDER BY ALL") == before
    assert ask(ran, "SELECT count(*) FROM ops.restatements") == [(0,)]


def without_a_cost(bill: str) -> str:
    lines = bill.splitlines(keepends=True)
    lines[7] = "n/a" + lines[7][lines[7].index(",") :]
    return "".join(lines)


# How a bill goes bad, and what is said of it.
BAD_FILES: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "renamed": (lambda bill: bill.replace(",EffectiveCost", ",Effective", 1), ["bill.csv", "EffectiveCost"]),
    "short": (lambda bill: bill.replace("AWS,AWS,S3", "AWS,AWS", 1), ["bill.csv"]),
    "euros": (lambda bill: bill.replace(",USD,", ",EUR,", 1), ["EUR"]),
    "words": (without_a_cost, ["bill.csv", "row 7", "BilledCost", "n/a"]),
}


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[bool, subprocess.CompletedProcess[str]]:
    """(whether the warehouse is as it was, the run) after the bills of four sources, loaded before, went bad."""
    folder = tmp_path_factory.mktemp("spoiled")
    config = write_small_home(folder, days=10)
    bill = (folder / "inbox" / "bill.csv").read_text()
    sources = "".join(f"  - {{name: {name}, type: focus_files, location: ./{name}}}\n" for name in BAD_FILES)
    config.write_text(config.read_text().replace("features: features.yml", f"{sources}features: features.yml"))
    for name in BAD_FILES:
        (folder / name).mkdir()
        (folder / name / "bill.csv").write_text(bill.replace("123456789012", name))
    done = trendbreak("run", "--direct", cwd=folder)
    assert done.returncode == 0, done.stderr
    before = ask(folder, "SELECT * FROM core.charges ORDER BY ALL")
    assert len(before) == 100
    for name, (spoil, _) in BAD_FILES.items():
        (folder / name / "bill.csv").write_text(spoil(bill.replace("123456789012", name)))
    done = trendbreak("run", "--direct", cwd=folder)
    return ask(folder, "SELECT * FROM core.charges ORDER BY ALL") == before, done


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_named_and_leaves_the_warehouse_as_it_was(
    name: str, spoiled: tuple[bool, subprocess.CompletedProcess[str]]
) -> None:
    is_as_it_was, done = spoiled
    assert done.returncode == 1
    assert is_as_it_was
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith(f"  {name}: ")]
    assert all(text in line for text in BAD_FILES[name][1]), done.stderr


def test_a_query_answers_while_a_run_holds_the_warehouse(ran: Path) -> None:
    from warehouse.store import open_warehouse

    with open_warehouse(ran / "data"):
        done = trendbreak("query", "select count(*) as n from core.charges", "--format", "json", cwd=ran)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [{"n": 120}]
        busy = trendbreak("run", "--direct", cwd=ran)
        assert busy.returncode == 2
        assert str(os.getpid()) in busy.stderr


def test_a_query_can_read_nothing_else_and_write_nothing(shared_home: Path) -> None:
    for sql in (
        "create table marts.x as select 1",
        f"select * from read_csv('{shared_home}/inbox/bill.csv')",
        f"copy (select 1) to '{shared_home}/leak.csv'",
        "delete from core.charges",
        "attach ':memory:' as other",
    ):
        done = trendbreak("query", sql, cwd=shared_home)
        assert done.returncode == 2, sql
        assert "Traceback" not in done.stderr
    assert not (shared_home / "leak.csv").exists()


def test_init_then_check_then_run_is_a_path_that_works(tmp_path: Path) -> None:
    assert trendbreak("init", cwd=tmp_path).returncode == 0
    (tmp_path / "inbox" / "bill.csv").write_text("\n".join(bill_lines(first_day(), 60)) + "\n")
    checked = trendbreak("check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "drop" in checked.stdout
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    status = trendbreak("status", cwd=tmp_path)
    assert "drop" in status.stdout


def test_check_says_what_to_fix(tmp_path: Path) -> None:
    config = write_small_home(tmp_path)
    config.write_text(config.read_text().replace("./inbox", "./no-such-folder"))
    done = trendbreak("check", cwd=tmp_path)
    assert done.returncode == 1
    assert "FAIL drop" in done.stdout
    assert "cure:" in done.stdout


def test_a_rule_changed_by_hand_is_recorded_with_what_it_moves(ran: Path) -> None:
    assert ask(ran, "SELECT count(*) FROM ops.rule_versions") == [(1,)]
    assert ask(ran, "SELECT count(*) FROM ops.rule_changes") == [(0,)]
    rules = ran / "features.yml"
    rules.write_text(rules.read_text().replace("{tag.feature: support_chat}", "{service_name: S3}"))
    assert trendbreak("run", "--direct", cwd=ran).returncode == 0
    moved = ask(
        ran,
        "SELECT feature, sum(new_effective_cost_before_credits_usd - old_effective_cost_before_credits_usd), "
        "min(first_charge_date) FROM ops.rule_changes WHERE who <> '' GROUP BY ALL ORDER BY ALL",
    )
    assert [row[0] for row in moved] == ["support_chat", "unallocated"]
    assert moved[0][1] < 0
    assert moved[0][1] + moved[1][1] == 0
    assert moved[0][2] == first_day()
    assert ask(ran, "SELECT count(*) FROM ops.restatements") == [(0,)]


def test_the_owner_may_lift_the_limits_of_a_query(ran: Path) -> None:
    copy = f"COPY (SELECT 1 AS one) TO '{ran}/out.csv' (HEADER)"
    refused = trendbreak("query", copy, cwd=ran)
    assert refused.returncode == 2
    assert "--unsafe" in refused.stderr
    assert trendbreak("query", "--unsafe", copy, cwd=ran).returncode == 0
    assert (ran / "out.csv").read_text() == "one\n1\n"
    assert trendbreak("query", "--unsafe", "DELETE FROM core.charges", cwd=ran).returncode == 2
    greedy = trendbreak("query", "--memory", "20MB", "SELECT count(DISTINCT r) FROM range(9000000) t(r)", cwd=ran)
    assert greedy.returncode == 2
    assert "needs more than 20MB of memory" in greedy.stderr
