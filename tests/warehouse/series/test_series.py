import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from alerts.model import FeaturePanel, MemberSeries
from tests.warehouse.ledger import add_calls, add_charges, build_marts, charge, new_warehouse
from warehouse.features import parse_features
from warehouse.series import read_feature_panel, read_members
from warehouse.store import Warehouse

DAY = date(2026, 3, 1)
FEATURES = """
version: 1
features:
  chat: {success: {outcomes: [ok], outcome_settles_days: 2}}
  search: {}
rules:
  - {when: {model: m1}, feature: chat}
  - {when: {model: m2}, feature: search}
"""


def day(n: int) -> date:
    return DAY + timedelta(days=n)


@pytest.fixture(scope="module")
def wh() -> Warehouse:
    warehouse = new_warehouse()
    add_charges(
        warehouse,
        [
            charge(10, charge_date=day(0), model="m1", api_key_id="k1"),
            charge(-4, charge_date=day(0), model="m1", charge_category="Credit"),
            charge(12, charge_date=day(3), model="m1", api_key_id="k2"),
            charge(14, charge_date=day(5), model="m1", api_key_id="k1"),
            charge(7, charge_date=day(3), model="m1", workload="fine_tuning"),
            charge(5, charge_date=day(2), model="m2"),
            charge(3, charge_date=day(1)),
            charge(9, charge_date=day(1), charge_category="Tax"),
            charge(8, charge_date=day(5), source_name="late", model="m2"),
        ],
    )
    calls = [(0, "ok"), (0, "bad"), (3, "ok"), (4, "ok"), (5, "ok")]
    add_calls(
        warehouse,
        [
            {"called_at": f"{day(n)} 10:00:00+00", "feature": "chat", "task_id": f"t{i}", "outcome": outcome}
            for i, (n, outcome) in enumerate(calls)
        ],
    )
    build_marts(warehouse, parse_features(FEATURES), settled_through={"bill": day(5), "late": day(3)})
    return warehouse


def same(values: np.ndarray, expected: list[float | None]) -> None:
    np.testing.assert_array_equal(values, np.array([np.nan if v is None else v for v in expected]))


def test_the_panel_is_the_one_that_alerts_expect(wh: Warehouse) -> None:
    panel = FeaturePanel(**read_feature_panel(wh.con, through=day(5)))
    assert panel.features == ("chat", "search", "unallocated")  # no shared pool
    assert panel.start == DAY
    # Before credits; zero on days without a charge.
    same(panel.cost_usd[0], [10, 0, 0, 19, 0, 14])
    # The call of the day whose bill is not there is 100 and 10 tokens at $1.25 and $10 a million.
    same(panel.serving_cost_usd[0], [10, 0, 0, 12, 0.000225, 14])
    same(panel.training_cost_usd[0], [0, 0, 0, 7, 0, 0])
    # Unknown before its first day, and where one of its sources has not settled.
    same(panel.cost_usd[1], [None, None, 5, 0, None, None])
    same(panel.cost_usd[2], [None, 3, 0, 0, 0, 0])


def test_telemetry_is_unknown_where_there_is_none(wh: Warehouse) -> None:
    panel = FeaturePanel(**read_feature_panel(wh.con, through=day(5)))
    same(panel.calls[0], [2, None, None, 1, 1, 1])
    same(panel.tasks[0], [2, None, None, 1, 1, 1])
    same(panel.retries[0], [0, None, None, 0, 0, 0])
    same(panel.failed_calls[0], [0, None, None, 0, 0, 0])
    assert np.isnan(panel.calls[1:]).all()


def test_successes_are_unknown_until_outcomes_have_settled(wh: Warehouse) -> None:
    same(FeaturePanel(**read_feature_panel(wh.con, through=day(5))).successful_tasks[0], [1, None, None, 1, None, None])
    same(FeaturePanel(**read_feature_panel(wh.con, through=day(3))).successful_tasks[0], [1, None, None, None])


def test_the_panel_ends_where_it_is_told_and_is_at_most_so_long(wh: Warehouse) -> None:
    panel = FeaturePanel(**read_feature_panel(wh.con, through=day(5), days=2))
    assert (panel.start, panel.cost_usd.shape) == (day(4), (3, 2))
    earlier = FeaturePanel(**read_feature_panel(wh.con, through=day(0)))
    assert (earlier.features, earlier.start) == (("chat",), DAY)
    same(earlier.cost_usd[0], [10])
    later = FeaturePanel(**read_feature_panel(wh.con, through=day(9)))  # beyond the calendar: unknown
    same(later.cost_usd[0], [10, 0, 0, 19, 0, 14, None, None, None, None])


def test_nothing_yet_is_an_empty_panel() -> None:
    warehouse = new_warehouse()
    build_marts(warehouse, parse_features("version: 1"))
    panel = FeaturePanel(**read_feature_panel(warehouse.con, through=DAY))
    assert (panel.features, panel.cost_usd.shape, panel.start) == ((), (0, 0), DAY)
    assert read_members(warehouse.con, features=["chat"], start=DAY, through=DAY) == []


def test_members_stand_on_the_panels_days_and_add_up(wh: Warehouse) -> None:
    panel = FeaturePanel(**read_feature_panel(wh.con, through=day(5)))
    members = [
        MemberSeries(**member)
        for member in read_members(wh.con, features=panel.features, start=panel.start, through=day(5))
    ]
    keys = {
        member.member: member.cost_usd
        for member in members
        if (member.feature, member.dimension) == ("chat", "api_key_id")
    }
    same(keys["k1"], [10, 0, 0, 0, 0, 14])
    same(keys["k2"], [0, 0, 0, 12, 0, 0])
    for row, feature in enumerate(panel.features):
        for dimension in ("provider", "service_name"):
            parts = [m.cost_usd for m in members if (m.feature, m.dimension) == (feature, dimension)]
            known = np.isfinite(panel.cost_usd[row])
            np.testing.assert_allclose(np.sum(parts, axis=0)[known], panel.cost_usd[row][known])
    order = [(m.feature, m.dimension, m.member) for m in members]
    assert order == sorted(order)


def test_only_the_features_and_days_asked_for_are_read(wh: Warehouse) -> None:
    members = read_members(wh.con, features=["search'; --", "search"], start=day(2), through=day(3))
    assert {member["feature"] for member in members} == {"search"}
    assert all(member["cost_usd"].tolist() == [5, 0] for member in members)
    assert read_members(wh.con, features=[], start=day(2), through=day(3)) == []


def test_fifty_features_of_four_hundred_days_keep_every_cent() -> None:
    warehouse = new_warehouse()
    rows = [
        charge(
            Decimal(n * 7 % 101) + Decimal(feature) / 100,
            charge_date=date(2025, 1, 1) + timedelta(days=n),
            model=f"m{feature:02}",
        )
        for n in range(0, 400, 3)
        for feature in range(50)
    ]
    add_charges(warehouse, rows)
    rules = "\n".join(f"  - {{when: {{model: m{n:02}}}, feature: f{n:02}}}" for n in range(50))
    names = ", ".join(f"f{n:02}: {{}}" for n in range(50))
    build_marts(warehouse, parse_features(f"version: 1\nfeatures: {{{names}}}\nrules:\n{rules}"))
    last = date(2025, 1, 1) + timedelta(days=399)
    panel = read_feature_panel(warehouse.con, through=last)
    assert panel["cost_usd"].shape == (50, 400)
    np.testing.assert_allclose(panel["cost_usd"].sum(), float(sum(row["effective_cost"] for row in rows)), rtol=1e-12)
    members = read_members(warehouse.con, features=panel["features"], start=panel["start"], through=last)
    assert len(members) == 150  # provider, service_name and model of each


def test_the_daily_reads_do_not_import_pandas() -> None:
    """It is a sixth of a cold run's statistics; a bound parameter or pyarrow's to_numpy would bring it in."""
    code = """
import sys
from datetime import date
import duckdb
from warehouse.series import read_members, read_settled
con = duckdb.connect()
con.execute("CREATE SCHEMA core")
con.execute("CREATE SCHEMA marts")
con.execute('''CREATE TABLE core.feature_settled AS SELECT 'it''s' AS feature, DATE '2026-03-05' AS settled_through,
    NULL AS due_through, NULL AS waits_for, false AS is_late''')
con.execute('''CREATE TABLE marts.feature_member_daily AS SELECT 'it''s' AS feature, 'model' AS dimension,
    'm1' AS member, DATE '2026-03-02' AS charge_date, 2.5::DECIMAL(38,12) AS effective_cost_before_credits_usd''')
days = {"start": date(2026, 3, 1), "through": date(2026, 3, 3)}
assert [row["feature"] for row in read_settled(con)] == ["it's"]
(member,) = read_members(con, features=["it's", "other"], **days)
assert (member["feature"], member["member"], member["cost_usd"].tolist()) == ("it's", "m1", [0.0, 2.5, 0.0])
assert read_members(con, features=[], **days) == read_members(con, features=["other"], **days) == []
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
