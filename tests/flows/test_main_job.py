"""The main job, whole: from a bill in a folder to a published snapshot and an alert, through the command line."""

import json
import os
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.flows.command import trendbreak, trendbreak_process
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from tests.servers import slack


def ask(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "data" / "published" / "trendbreak.duckdb"), read_only=True) as published:
        return published.execute(sql).fetchall()


def rewrite_bill(folder: Path, **changes: Any) -> None:
    (folder / "inbox" / "bill.csv").write_text("\n".join(bill_lines(first_day(), 60, **changes)) + "\n")


def billed(lines: list[str]) -> Decimal:
    return sum((Decimal(line.split(",")[0]) for line in lines[1:]), Decimal(0))


def test_a_bill_becomes_charges_allocations_and_marts_exactly_and_running_again_changes_nothing(tmp_path: Path) -> None:
    write_small_home(tmp_path)
    done = trendbreak("run", "--direct", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    expected = billed(bill_lines(first_day(), 60))
    sums = "SELECT (SELECT sum(billed_cost) FROM core.charges), (SELECT sum(billed_cost) FROM core.allocations)"
    assert ask(tmp_path, sums) == [(expected, expected)]
    assert {row[0] for row in ask(tmp_path, "SELECT DISTINCT feature FROM core.allocations")} == {
        "support_chat",
        "unallocated",
    }
    assert ask(tmp_path, "SELECT count(*) FROM ops.reconciliations WHERE NOT is_equal") == [(0,)]
    before = ask(tmp_path, "SELECT * EXCLUDE (delivery_id) FROM core.charges ORDER BY ALL")
    again = trendbreak("run", "--direct", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "drop: nothing new" in again.stdout
    assert ask(tmp_path, "SELECT * EXCLUDE (delivery_id) FROM core.charges ORDER BY ALL") == before
    assert ask(tmp_path, "SELECT count(*) FROM ops.restatements") == [(0,)]


def test_the_prefect_flow_does_the_same_and_marks_the_step_that_failed(tmp_path: Path) -> None:
    config = write_small_home(tmp_path)
    rewrite_bill(tmp_path, last_factor=Decimal("2.4"), last_days=4)
    gone = "  - {name: gone, type: focus_files, location: ./nowhere}\nfeatures: features.yml"
    config.write_text(config.read_text().replace("features: features.yml", gone))
    done = trendbreak_process("run", cwd=tmp_path)
    assert done.returncode == 1, done.stderr + done.stdout
    assert [line.split()[1:3] for line in done.stdout.splitlines() if "✗" in line] == [["fetch", "gone"]]
    lines = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=4)
    assert ask(tmp_path, "SELECT sum(billed_cost) FROM core.charges") == [(billed(lines),)]
    with closing(sqlite3.connect(tmp_path / "data" / "prefect" / "prefect.db")) as prefect:
        artifacts = dict(prefect.execute("SELECT key, data FROM artifact WHERE key IS NOT NULL").fetchall())
    assert set(artifacts) == {"daily-summary", "daily-sources", "daily-incidents", "daily-chart"}
    assert "support_chat" in artifacts["daily-incidents"]
    assert "data:image/png;base64," in artifacts["daily-chart"]


def test_one_failing_source_is_named_and_stops_no_other(tmp_path: Path) -> None:
    config = write_small_home(tmp_path)
    text = config.read_text().replace(
        "features: features.yml",
        "  - {name: aws, type: aws_data_exports, location: ./nowhere}\n"
        '  - {name: openai, type: openai, admin_key: "${NO_SUCH_KEY}"}\nfeatures: features.yml',
    )
    config.write_text(text)
    done = trendbreak("run", "--direct", cwd=tmp_path)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "NO_SUCH_KEY" in done.stderr
    assert ask(tmp_path, "SELECT sum(billed_cost) FROM core.charges") == [(billed(bill_lines(first_day(), 60)),)]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (",EffectiveCost", ",Effective", ["bill.csv", "EffectiveCost"]),
        ("AWS,AWS,S3", "AWS,AWS", ["bill.csv"]),
        (",USD,", ",EUR,", ["EUR"]),
    ],
)
def test_a_bad_file_is_named_and_leaves_the_warehouse_as_it_was(
    tmp_path: Path, old: str, new: str, named: list[str]
) -> None:
    write_small_home(tmp_path)
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    before = ask(tmp_path, "SELECT * FROM core.charges ORDER BY ALL")
    bill = tmp_path / "inbox" / "bill.csv"
    bill.write_text(bill.read_text().replace(old, new, 1))
    done = trendbreak("run", "--direct", cwd=tmp_path)
    assert done.returncode == 1
    assert all(text in done.stderr for text in named), done.stderr
    assert "Traceback" not in done.stderr
    assert ask(tmp_path, "SELECT * FROM core.charges ORDER BY ALL") == before


def test_a_cost_that_is_no_number_is_named_by_row_and_column(tmp_path: Path) -> None:
    write_small_home(tmp_path)
    bill = tmp_path / "inbox" / "bill.csv"
    lines = bill.read_text().splitlines()
    lines[7] = "n/a" + lines[7][lines[7].index(",") :]
    bill.write_text("\n".join(lines) + "\n")
    done = trendbreak("run", "--direct", cwd=tmp_path)
    assert done.returncode == 1
    for text in ("bill.csv", "BilledCost", "n/a", "7"):
        assert text in done.stderr


def test_a_break_is_told_to_slack_once(tmp_path: Path) -> None:
    with slack.serve() as server:
        server.add_channel("ai-costs")
        write_small_home(
            tmp_path, extra=f'slack: {{token: "${{BOT}}", channel: "#ai-costs", base_url: "{server.base_url}"}}\n'
        )
        rewrite_bill(tmp_path, last_factor=Decimal("2.4"), last_days=4)
        first = trendbreak("run", "--direct", cwd=tmp_path, BOT=slack.TOKEN)
        assert first.returncode == 0, first.stderr + first.stdout
        posts = server.posts()
        assert len(posts) == 1, posts
        assert "support_chat" in json.dumps(posts[0]["blocks"])
        assert "support_chat" in posts[0]["text"]
        second = trendbreak("run", "--direct", cwd=tmp_path, BOT=slack.TOKEN)
        assert second.returncode == 0, second.stderr
        assert len(server.posts()) == 1


def test_without_a_token_the_same_message_goes_to_a_folder_once(tmp_path: Path) -> None:
    write_small_home(tmp_path)
    rewrite_bill(tmp_path, last_factor=Decimal("2.4"), last_days=4)
    for _ in range(2):
        assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    messages = list((tmp_path / "data" / "outbox").glob("*.json"))
    assert len(messages) == 1
    assert json.loads(messages[0].read_text())["blocks"]
    assert len(list((tmp_path / "data" / "outbox").glob("*.png"))) == 1


def test_a_query_answers_while_a_run_holds_the_warehouse(tmp_path: Path) -> None:
    from warehouse.store import open_warehouse

    write_small_home(tmp_path)
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    with open_warehouse(tmp_path / "data"):
        done = trendbreak("query", "select count(*) as n from core.charges", "--format", "json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [{"n": 120}]
        busy = trendbreak("run", "--direct", cwd=tmp_path)
        assert busy.returncode == 2
        assert str(os.getpid()) in busy.stderr


def test_a_query_can_read_nothing_else_and_write_nothing(tmp_path: Path) -> None:
    write_small_home(tmp_path)
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    for sql in (
        "create table marts.x as select 1",
        f"select * from read_csv('{tmp_path}/inbox/bill.csv')",
        f"copy (select 1) to '{tmp_path}/leak.csv'",
        "delete from core.charges",
        "attach ':memory:' as other",
    ):
        done = trendbreak("query", sql, cwd=tmp_path)
        assert done.returncode == 2, sql
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "leak.csv").exists()


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


def test_a_rule_changed_by_hand_is_recorded_with_what_it_moves(tmp_path: Path) -> None:
    write_small_home(tmp_path, days=20)
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    assert ask(tmp_path, "SELECT count(*) FROM ops.rule_versions") == [(1,)]
    assert ask(tmp_path, "SELECT count(*) FROM ops.rule_changes") == [(0,)]
    rules = tmp_path / "features.yml"
    rules.write_text(rules.read_text().replace("{tag.feature: support_chat}", "{service_name: S3}"))
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    moved = ask(
        tmp_path,
        "SELECT feature, sum(new_effective_cost_before_credits_usd - old_effective_cost_before_credits_usd), "
        "min(first_charge_date) FROM ops.rule_changes WHERE who <> '' GROUP BY ALL ORDER BY ALL",
    )
    assert [row[0] for row in moved] == ["support_chat", "unallocated"]
    assert moved[0][1] < 0
    assert moved[0][1] + moved[1][1] == 0
    assert moved[0][2] == first_day(20)
    assert ask(tmp_path, "SELECT count(*) FROM ops.restatements") == [(0,)]


def test_the_owner_may_lift_the_limits_of_a_query(tmp_path: Path) -> None:
    write_small_home(tmp_path, days=5)
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    copy = f"COPY (SELECT 1 AS one) TO '{tmp_path}/out.csv' (HEADER)"
    refused = trendbreak("query", copy, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--unsafe" in refused.stderr
    assert trendbreak("query", "--unsafe", copy, cwd=tmp_path).returncode == 0
    assert (tmp_path / "out.csv").read_text() == "one\n1\n"
    assert trendbreak("query", "--unsafe", "DELETE FROM core.charges", cwd=tmp_path).returncode == 2
    greedy = trendbreak("query", "--memory", "20MB", "SELECT count(DISTINCT r) FROM range(9000000) t(r)", cwd=tmp_path)
    assert greedy.returncode == 2
    assert "needs more than 20MB of memory" in greedy.stderr
