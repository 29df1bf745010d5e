from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.warehouse.ledger import NOW, add_calls, add_charges, build_marts, charge, new_warehouse, rows_of
from tests.warehouse.published import HOSTILE, LAST, make_home
from warehouse.features import parse_features
from warehouse.query import QueryError, canned
from warehouse.reads import (
    open_snapshot,
    read_coverage,
    read_daily_costs,
    read_explained_units,
    read_features,
    read_freshness,
    read_published_at,
    read_unallocated,
    read_unclassified_usd,
)

D = Decimal


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    published = make_home(tmp_path_factory.mktemp("home"))
    with open_snapshot(published) as opened:
        yield opened


def chat(first: int, last: int) -> Decimal:
    """What the chat project cost from the n-th to the m-th day, both included."""
    return sum((D(20 + n % 7) for n in range(first, last + 1)), D(0))


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["feature"]: row for row in rows}


def test_features_with_two_periods_and_the_month(con: duckdb.DuckDBPyConnection) -> None:
    rows = by_name(read_features(con, through=LAST))
    assert set(rows) == {"chat", "search", "train", "unallocated", "shared: tax"}
    row = rows["chat"]
    assert (row["owner"], row["unit"], row["kind"], row["monthly_budget_usd"]) == ("@maya", "answer", "feature", 1000)
    assert (row["cost_usd"], row["previous_cost_usd"]) == (chat(40, 69), chat(10, 39))
    assert row["month_to_date_usd"] == chat(69 - LAST.day + 1, 69)
    assert (rows["unallocated"]["kind"], rows["unallocated"]["cost_usd"], rows["unallocated"]["previous_cost_usd"]) == (
        "unallocated",
        120,
        None,
    )
    assert (rows["shared: tax"]["kind"], rows["train"]["cost_usd"]) == ("shared", 300)


def test_unit_cost_of_the_days_whose_outcomes_have_settled(con: duckdb.DuckDBPyConnection) -> None:
    row = by_name(read_features(con, through=LAST, unit_days=7, unit_baseline_days=14))["chat"]
    # Outcomes settle a day later: the newest of the seven days is the one before the last.
    assert (row["successful_tasks"], row["tasks_with_outcome"]) == (21, 28)
    assert row["success_rate"] == row["previous_success_rate"] == D("0.75")
    assert row["cost_per_success_usd"] == (chat(62, 68) / 21).quantize(D("1e-9"))
    assert row["previous_cost_per_success_usd"] == (chat(48, 61) / 42).quantize(D("1e-9"))
    assert by_name(read_features(con, through=LAST))["search"]["cost_per_success_usd"] is None


def test_estimates_beside_refunds_are_at_most_all_of_a_cost_that_is_left() -> None:
    wh = new_warehouse()
    calls = [
        {"called_at": "2026-03-01 10:00:00+00", "feature": name, "task_id": f"{name} {n}", "outcome": "ok", **fields}
        for name in "ab"
        for n, fields in enumerate(
            ({}, {"provider": "anthropic", "model": "claude-haiku-4-5", "input_tokens": 10**8, "output_tokens": 0})
        )
    ]  # the second is $100 at its price
    add_calls(wh, calls)
    refunds = {"a": "-99.99", "b": "-200"}
    add_charges(wh, [charge(usd, model="gpt-5", sub_account_id=name) for name, usd in refunds.items()])
    rule = "success: {outcomes: [ok], outcome_settles_days: 0}"
    owners = "".join(f"  - {{when: {{sub_account_id: {name}}}, feature: {name}}}\n" for name in "ab")
    build_marts(wh, parse_features(f"version: 1\nfeatures: {{a: {{{rule}}}, b: {{{rule}}}}}\nrules:\n{owners}"))
    day = date(2026, 3, 1)
    features = by_name(read_features(wh.con, through=day))
    asked = {row[0]: row[3] for row in wh.con.execute(canned()["cost-per-successful-task"][1]).fetchall()}
    for name, cost, share in (("a", D("0.005"), 1), ("b", D(-50), None)):
        [unit] = read_explained_units(
            wh.con, feature=name, since=day, until=day, base_since=date(2026, 2, 1), base_until=date(2026, 2, 2)
        )
        assert (features[name]["cost_per_success_usd"], features[name]["estimated_share"]) == (cost, share)
        assert (unit["cost_per_success_usd"], unit["estimated_share"]) == (cost, share)
        assert asked[name] == (share and 100)


def test_refunds_that_belong_to_nobody_do_not_end_the_report() -> None:
    wh = new_warehouse()
    add_charges(wh, [charge(100, sub_account_id="a"), charge("-99.99")])
    build_marts(wh, parse_features("version: 1\nfeatures: {a: {}}\nrules: [{when: {sub_account_id: a}, feature: a}]"))
    [row] = read_coverage(wh.con, through=date(2026, 3, 1))
    assert (row["tagged_usd"], row["unallocated_usd"]) == (100, D("-99.99"))


def test_nothing_is_a_percentage_of_what_refunds_leave_below_zero() -> None:
    wh = new_warehouse()
    add_charges(
        wh,
        [
            charge(-10, charge_date=date(2026, 2, 15), model="gpt-5"),
            charge(-5, charge_date=date(2026, 3, 31), model="gpt-5"),
        ],
    )
    add_calls(wh, [{"called_at": "2026-03-31 10:00:00+00", "feature": "a"}])
    features = parse_features("version: 1\nfeatures: {a: {}}\nrules: [{when: {}, feature: a}]")
    build_marts(wh, features, settled_through={"bill": date(2026, 3, 31)})
    for name, columns in {
        "movers": ("change_percent",),
        "model-mix": ("share_percent", "change_percent"),
        "coverage": ("tagged_percent",),
        "estimate-drift": ("drift_percent",),
    }.items():
        rows = rows_of(wh.con, canned()[name][1])
        assert rows
        assert {row[column] for row in rows for column in columns} == {None}, name


def test_daily_costs_are_of_one_length_and_unknown_before_the_first_day(con: duckdb.DuckDBPyConnection) -> None:
    rows = by_name(read_daily_costs(con, through=LAST, days=72))
    assert {len(row["cost_usd"]) for row in rows.values()} == {72}
    assert rows["chat"]["cost_usd"][:4] == [None, None, 20, 21]
    assert rows["unallocated"]["cost_usd"][-5:] == [None, 30, 30, 30, 30]
    assert rows["chat"]["cost_per_success_usd"][2] == (D(20) / 3).quantize(D("1e-9"))
    assert rows["chat"]["cost_per_success_usd"][-1] is None  # outcomes may still come
    assert set(rows["search"]["cost_per_success_usd"]) == {None}


def test_coverage_and_what_nobody_owns(con: duckdb.DuckDBPyConnection) -> None:
    (row,) = read_coverage(con, through=LAST, days=4)
    assert row["source_name"] == "bill"
    assert row["unallocated_usd"] == 120
    assert row["tagged_usd"] == chat(66, 69) + 4 * 15
    assert row["effective_cost_before_credits_usd"] == sum(
        row[part] for part in ("tagged_usd", "shared_usd", "not_ai_usd", "unallocated_usd")
    )
    (stray,) = read_unallocated(con, through=LAST)
    assert (stray["api_key_id"], stray["effective_cost_before_credits_usd"]) == (HOSTILE, 120)
    assert read_unallocated(con, through=LAST, limit=0) == []
    assert read_unclassified_usd(con, through=LAST) == 0


def test_freshness_and_months(con: duckdb.DuckDBPyConnection) -> None:
    (row,) = read_freshness(con)
    assert (row["source_name"], row["last_charge_date"], row["settled_through"]) == ("bill", LAST, LAST)
    assert row["days_late"] is None  # the run was not told of the source
    months = con.execute(
        "SELECT sum(effective_cost_before_credits_usd) FROM marts.feature_cost_monthly WHERE feature = 'chat'"
    )
    assert months.fetchall() == [(chat(0, 69),)]
    assert read_published_at(con) == NOW


def test_days_beyond_the_data_are_told_as_unknown(con: duckdb.DuckDBPyConnection) -> None:
    later = by_name(read_daily_costs(con, through=LAST + timedelta(days=2), days=3))
    assert later["chat"]["cost_usd"] == [20 + 69 % 7, None, None]


def test_a_snapshot_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="nothing is published yet"), open_snapshot(tmp_path / "x.duckdb"):
        pass


def test_a_snapshot_takes_no_writes(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        con.execute("DELETE FROM core.charge_amounts")


def test_a_snapshot_of_another_version_is_named_with_its_cure(tmp_path: Path) -> None:
    older = tmp_path / "older.duckdb"
    duckdb.connect(str(older)).execute("CREATE SCHEMA ops; CREATE TABLE ops.publication (moment DATE)").close()
    told = "another version published it .* `trendbreak run` publishes anew"
    with pytest.raises(QueryError, match=told), open_snapshot(older) as con:
        read_published_at(con)
