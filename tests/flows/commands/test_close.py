"""`trendbreak close`, through the command line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb

from tests.flows.command import trendbreak
from tests.flows.small_bill import bill_lines, first_day, write_small_home


def test_a_closed_month_stays_and_its_changes_are_booked_later(tmp_path: Path) -> None:
    days = 75
    write_small_home(tmp_path, days=days)
    second = f"{first_day(days - 31):%Y-%m}"
    assert trendbreak("close", second, cwd=tmp_path).returncode == 2  # nothing is loaded
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    running = trendbreak("close", f"{first_day(0):%Y-%m}", cwd=tmp_path)
    assert running.returncode == 2
    assert "is not over yet" in running.stderr
    assert "write it as 2026-10" in trendbreak("close", "October", cwd=tmp_path).stderr
    assert "no month is closed yet" in trendbreak("close", cwd=tmp_path).stdout
    done = trendbreak("close", second, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"closed {second}: " in done.stdout
    assert f"{second} closed " in trendbreak("close", cwd=tmp_path).stdout
    before = monthly(tmp_path, second)
    lines = bill_lines(first_day(days), days, last_factor=Decimal(2), last_days=days)
    (tmp_path / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    assert monthly(tmp_path, second) == before
    shown = trendbreak("query", "corrections", cwd=tmp_path)
    assert "restatement" in shown.stdout
    with duckdb.connect(str(tmp_path / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        daily = "SELECT sum(effective_cost_usd) FROM marts.feature_cost_daily"
        assert con.execute(daily.replace("daily", "monthly")).fetchone() == con.execute(daily).fetchone()


def monthly(home: Path, month: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        return con.execute(
            "SELECT feature, billed_cost_usd, effective_cost_usd, effective_cost_before_credits_usd, is_closed "
            "FROM marts.feature_cost_monthly WHERE month = ?::DATE ORDER BY ALL",
            [f"{month}-01"],
        ).fetchall()
