"""Splits by telemetry on real tables: bill, calls and the provider's own meter."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.warehouse.ledger import add_charges, charge, new_warehouse, rows_of
from warehouse.allocate import allocate
from warehouse.features import parse_features
from warehouse.store import Warehouse

D = Decimal
DAY = date(2026, 3, 1)
FEATURES = """
version: 1
features: {a: {}, b: {}, own_key: {}}
rules:
  - {when: {api_key_id: own}, feature: own_key}
  - {when: {provider: openai}, split: gateway}
splits: {gateway: {method: telemetry, features: [a, b]}}
"""


@pytest.fixture
def wh() -> Warehouse:
    warehouse = new_warehouse()
    warehouse.con.execute(
        """
        CREATE TABLE core.usage (
            usage_date DATE, feature VARCHAR, provider VARCHAR, model VARCHAR, input_tokens BIGINT,
            cache_read_tokens BIGINT, cache_write_tokens BIGINT, output_tokens BIGINT, reasoning_tokens BIGINT,
            estimated_cost_usd DECIMAL(38, 12)
        )
        """
    )
    return warehouse


def usage(
    wh: Warehouse, feature: str, tokens: int, *, day: date = DAY, model: str = "gpt-5", estimate: float | None = None
) -> None:
    wh.con.execute(
        "INSERT INTO core.usage VALUES (?, ?, 'openai', ?, ?, 0, 0, 0, 0, ?::DECIMAL(38, 12))",
        [day, feature, model, tokens, estimate],
    )


def metered(
    wh: Warehouse, tokens: int, *, sub_account_id: str | None = None, model: str = "gpt-5", source: str = "bill"
) -> None:
    wh.con.execute(
        """
        INSERT INTO core.metered_usage BY NAME
        SELECT ? AS source_name, 's' AS scope, 'd' AS delivery_id, 'openai' AS provider, ?::DATE AS usage_date,
               ? AS sub_account_id, ? AS model, ? AS input_tokens
        """,
        [source, DAY, sub_account_id, model, tokens],
    )


def owners(wh: Warehouse) -> dict[str, Decimal]:
    allocate(wh, parse_features(FEATURES))
    found = rows_of(
        wh.con, "SELECT feature, sum(effective_cost) AS cost FROM core.allocations GROUP BY ALL ORDER BY ALL"
    )
    return {row["feature"]: row["cost"].normalize() for row in found if row["cost"]}


def daily_owners(wh: Warehouse) -> dict[tuple[date, str], Decimal]:
    allocate(wh, parse_features(FEATURES))
    found = rows_of(
        wh.con, "SELECT charge_date, feature, sum(effective_cost) AS cost FROM core.allocations GROUP BY ALL"
    )
    return {(row["charge_date"], row["feature"]): row["cost"] for row in found}


def test_dollars_follow_the_traffic_of_the_same_model(wh: Warehouse) -> None:
    add_charges(wh, [charge(10, model="gpt-5"), charge(4, model="o3-2025-04-16")])
    usage(wh, "a", 300)
    usage(wh, "b", 100)
    usage(wh, "b", 50, model="openai/o3")
    assert owners(wh) == {"a": D("7.5"), "b": D("6.5")}


def test_a_model_that_telemetry_never_saw_is_unallocated(wh: Warehouse) -> None:
    add_charges(wh, [charge(10, model="gpt-5"), charge(4, model="o3")])
    usage(wh, "a", 300)
    assert owners(wh) == {"a": 10, "unallocated": 4}


def test_charges_without_a_model_follow_the_dollars_of_those_with_one(wh: Warehouse) -> None:
    add_charges(wh, [charge(30, model="gpt-5"), charge(10, model="o3"), charge(8, sku_meter="web search")])
    usage(wh, "a", 5)
    usage(wh, "b", 5000, model="o3")
    assert owners(wh) == {"a": 36, "b": 12}


def test_a_bill_without_any_model_follows_all_the_providers_traffic(wh: Warehouse) -> None:
    add_charges(wh, [charge(8)])
    usage(wh, "a", 30)
    usage(wh, "b", 10, model="o3")
    assert owners(wh) == {"a": 6, "b": 2}


def test_estimated_dollars_are_preferred_to_tokens_where_all_are_known(wh: Warehouse) -> None:
    add_charges(wh, [charge(8)])
    usage(wh, "a", 1000, estimate=1)
    usage(wh, "b", 1, model="o3", estimate=3)
    assert owners(wh) == {"a": 2, "b": 6}
    usage(wh, "b", 999, model="o3")
    assert owners(wh) == {"a": 4, "b": 4}


def test_the_providers_meter_is_the_denominator_of_its_own_accounts(wh: Warehouse) -> None:
    add_charges(wh, [charge(10, model="gpt-5", sub_account_id="p1")])
    usage(wh, "a", 30)
    usage(wh, "b", 10)
    metered(wh, 80, sub_account_id="p1")
    metered(wh, 1000, sub_account_id="somebody else")
    assert owners(wh) == {"a": D("3.75"), "b": D("1.25"), "unallocated": 5}


@pytest.mark.parametrize("exported", [None, "p1"])
def test_an_export_beside_the_providers_own_meter_counts_nothing_twice(wh: Warehouse, exported: str | None) -> None:
    add_charges(wh, [charge(10, model="gpt-5", sub_account_id="p1")])
    usage(wh, "a", 30)
    usage(wh, "b", 10)
    metered(wh, 40, sub_account_id="p1", source="bill")
    metered(wh, 40, sub_account_id=exported, source="an export")
    metered(wh, 40, sub_account_id=exported, source="the same export elsewhere")
    assert owners(wh) == {"a": D("7.5"), "b": D("2.5")}


def test_telemetry_that_counts_more_than_the_meter_gives_no_more_than_the_bill(wh: Warehouse) -> None:
    add_charges(wh, [charge(10, model="gpt-5")])
    usage(wh, "a", 300)
    usage(wh, "b", 100)
    metered(wh, 80)
    assert owners(wh) == {"a": D("7.5"), "b": D("2.5")}


def test_features_outside_the_split_get_none_of_it(wh: Warehouse) -> None:
    add_charges(wh, [charge(10, model="gpt-5"), charge(5, model="gpt-5", api_key_id="own")])
    usage(wh, "a", 10)
    usage(wh, "own_key", 1000)
    usage(wh, "nobody knows it", 1000)
    assert owners(wh) == {"a": 10, "own_key": 5}


def test_when_one_features_telemetry_stops_only_coverage_moves(wh: Warehouse) -> None:
    days = [DAY + timedelta(days=n) for n in range(45)]
    add_charges(wh, [charge(100 + n, charge_date=day, model="gpt-5") for n, day in enumerate(days)])
    for n, day in enumerate(days):
        usage(wh, "a", 600 + 6 * n, day=day)
        usage(wh, "b", 400 + 4 * n, day=day)
    before = daily_owners(wh)
    wh.con.execute("DELETE FROM core.usage WHERE feature = 'b' AND usage_date >= ?", [days[10]])
    after = daily_owners(wh)
    for n, day in enumerate(days):
        assert abs(after[day, "a"] - before[day, "a"]) < D("1e-8")
        lost = after[day, "unallocated" if n >= 10 else "b"]
        assert abs(lost - before[day, "b"]) < D("1e-8")
        assert before[day, "a"] + before[day, "b"] == after[day, "a"] + lost == 100 + n


def test_no_telemetry_at_all_leaves_everything_unallocated() -> None:
    wh = new_warehouse()  # not even the table is there
    add_charges(wh, [charge(10, model="gpt-5")])
    assert owners(wh) == {"unallocated": 10}


def test_credits_are_split_like_the_usage_they_belong_to(wh: Warehouse) -> None:
    rows: list[dict[str, Any]] = [charge(10, model="gpt-5"), charge(-4, model="gpt-5", charge_category="Credit")]
    add_charges(wh, rows)
    usage(wh, "a", 300)
    usage(wh, "b", 100)
    assert owners(wh) == {"a": D("4.5"), "b": D("1.5")}
