"""For any charges and any rules: every measure is conserved to the last digit, whatever the order of rows."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.warehouse.ledger import add_calls, add_charges, charge, new_warehouse, rows_of
from warehouse.allocate import MEASURES, allocate
from warehouse.features import parse_features
from warehouse.store import Warehouse

MONEY = st.none() | st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False)
HOSTILE = ["chat", "o'brien", '"; DROP TABLE core.charges; --', "\\", "日本", "a\tb", "{{ x }}", "%s", "NULL"]


@st.composite
def charges(draw: st.DrawFn) -> dict[str, Any]:
    currency = draw(st.sampled_from(["USD", "EUR"]))
    row = charge(
        source_name=draw(st.sampled_from(["bill", "other"])),
        charge_date=date(2026, 3, 1) + timedelta(days=draw(st.integers(0, 3))),
        provider=draw(st.sampled_from([None, "openai", "aws"])),
        model=draw(st.sampled_from([None, "gpt-5", "GPT-5-2025-08-07", "o3"])),
        sub_account_id=draw(st.none() | st.sampled_from(HOSTILE)),
        service_name=draw(st.sampled_from(["OpenAI API", "AWS Support (Business)", None])),
        charge_category=draw(st.sampled_from(["Usage", "Tax", "Credit", "Purchase", None])),
        commitment_discount_status=draw(st.sampled_from([None, "Used", "Unused"])),
        tags=draw(st.sampled_from([None, '{"feature":"chat"}', '{"feature":"o\'brien"}', '{"a/b~c":"x"}', "no json"])),
        billing_currency=currency,
        tokens=draw(st.none() | st.decimals(min_value=0, max_value=10**12, places=6)),
        gpu_hours=draw(st.none() | st.decimals(min_value=0, max_value=10**4, places=12)),
        **{name: draw(MONEY) for name in ("billed_cost", "effective_cost", "list_cost")},
    )
    if currency == "EUR" and draw(st.booleans()):
        row |= {f"{name}_usd": draw(MONEY) for name in ("billed_cost", "effective_cost", "list_cost")}
    return row


WHENS = [
    "{}",
    "{provider: openai}",
    "{model: {prefix: gpt}}",
    '{sub_account_id: {in: [chat, "o\'brien"]}}',
    "{sub_account_id: {regex: 'DROP|日'}}",
    "{tag.feature: chat}",
    "{tag.a/b~c: {present: true}}",
    "{charge_category: Tax}",
    "{service_name: {glob: '*Support*'}}",
    "{source_name: other, provider: {present: false}}",
]
TARGETS = ["feature: a", "feature: b'; --", "feature: unallocated", "feature: 'shared: x'"]
TARGETS += [f"split: {name}" for name in ("fixed", "even", "cost", "calls")]
VALID = ["", ", valid_from: 2026-03-02", ", valid_to: 2026-03-02", ", valid_from: 2026-03-02, valid_to: 2026-03-03"]
RULES = st.lists(
    st.tuples(st.sampled_from(WHENS), st.sampled_from(TARGETS), st.sampled_from(VALID), st.integers(1, 3)), max_size=5
)


def features_of(rules: list[tuple[str, str, str, int]]) -> str:
    lines = [f"  - {{when: {when}, {target}, priority: {priority}{valid}}}" for when, target, valid, priority in rules]
    return "\n".join(
        [
            "version: 1",
            'features: {a: {}, "b\'; --": {}, c: {}}',
            "rules:",
            *lines,
            "splits:",
            '  fixed: {method: fixed, weights: {a: 1, "b\'; --": 1, c: 1, unallocated: 4}}',
            '  even: {method: even, features: [a, "b\'; --", c]}',
            "  cost: {method: proportional}",
            "  calls: {method: telemetry}",
        ]
    )


@pytest.fixture(scope="module")
def wh() -> Iterator[Warehouse]:
    warehouse = new_warehouse()
    add_calls(
        warehouse,
        [
            {"called_at": f"2026-03-0{day} 10:00:00+00", "feature": feature, "model": model, "input_tokens": tokens}
            for day, feature, model, tokens in [(1, "a", "gpt-5", 7), (1, "c", "gpt-5", 11), (2, "c", "o3", 3)]
        ],
    )
    warehouse.con.execute(
        """
        CREATE TABLE core.usage AS
        SELECT called_at::DATE AS usage_date, feature, provider, model, input_tokens, cache_read_tokens,
               cache_write_tokens, output_tokens, reasoning_tokens, NULL::DECIMAL(38, 12) AS estimated_cost_usd
        FROM staging.stg_calls
        """
    )
    yield warehouse
    warehouse.con.close()


def totals(wh: Warehouse, table: str) -> list[dict[str, Any]]:
    sums = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
    return rows_of(
        wh.con,
        f"SELECT source_name, charge_date, billing_currency, {sums} FROM {table} GROUP BY ALL ORDER BY ALL",
    )


@pytest.mark.properties
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(charges(), max_size=12), rules=RULES, seed=st.integers(0, 9))
def test_every_measure_is_conserved_and_order_does_not_matter(
    wh: Warehouse, rows: list[dict[str, Any]], rules: list[tuple[str, str, str, int]], seed: int
) -> None:
    features = parse_features(features_of(rules))
    wh.con.execute("DELETE FROM core.charge_amounts")
    add_charges(wh, rows)
    allocate(wh, features)
    assert totals(wh, "core.allocations") == totals(wh, "core.charges")
    known = {feature for _, target, _, _ in rules for feature in [target.removeprefix("feature: ").strip("'")]}
    found = {row["feature"] for row in rows_of(wh.con, "SELECT DISTINCT feature FROM core.allocations")}
    pools = {"shared: tax", "shared: support", "shared: unused commitments", "unallocated"}
    assert found <= {"a", "b'; --", "c", "shared: x"} | pools | known

    first = rows_of(wh.con, "SELECT * FROM core.allocations ORDER BY ALL")
    random.Random(seed).shuffle(rows)
    wh.con.execute("DELETE FROM core.charge_amounts")
    add_charges(wh, rows)
    allocate(wh, features)
    assert rows_of(wh.con, "SELECT * FROM core.allocations ORDER BY ALL") == first


@pytest.mark.properties
@settings(max_examples=examples(10), deadline=None)
@given(amounts=st.lists(st.decimals(min_value=-(10**13), max_value=10**13, places=12), min_size=1, max_size=5))
def test_a_remainder_of_any_size_stays_in_the_split(wh: Warehouse, amounts: list[Decimal]) -> None:
    wh.con.execute("DELETE FROM core.charge_amounts")
    add_charges(wh, [charge(amount, resource_id=str(place)) for place, amount in enumerate(amounts)])
    allocate(wh, parse_features(features_of([("{}", "split: even", "", 1)])))
    assert totals(wh, "core.allocations") == totals(wh, "core.charges")
    for row in rows_of(
        wh.con,
        """
        SELECT resource_id, max(effective_cost) - min(effective_cost) AS spread, sum(effective_cost) AS whole
        FROM core.allocations GROUP BY resource_id
        """,
    ):
        # Shares have 12 places: of an amount x, a part may be x × 1e-12 off, never more.
        assert row["spread"] <= abs(row["whole"]) * Decimal("3e-12") + Decimal("3e-12")
        assert row["whole"] == amounts[int(row["resource_id"])]


def test_an_unknown_amount_stays_unknown_beside_a_known_one(wh: Warehouse) -> None:
    wh.con.execute("DELETE FROM core.charge_amounts")
    add_charges(wh, [charge(5, list_cost=None), charge(7), charge(9, list_cost=None, list_cost_usd=None)])
    allocate(wh, parse_features(features_of([("{}", "feature: a", "", 1)])))
    found = rows_of(wh.con, "SELECT billed_cost, list_cost FROM core.allocations ORDER BY ALL")
    assert found == [{"billed_cost": 7, "list_cost": 7}, {"billed_cost": 14, "list_cost": None}]
