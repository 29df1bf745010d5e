"""Calls in the warehouse: each at the price of its moment, its account and its size; unknown is null and counted."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.warehouse.ledger import add_calls, add_charges, build_marts, charge, new_warehouse, rows_of
from warehouse.features import parse_features
from warehouse.prices import PriceBook, parse_prices
from warehouse.prices.tables import reprice
from warehouse.store import Warehouse

FEATURES = parse_features("version: 1\nfeatures: {a: {}, b: {}}")
MILLION = 1_000_000


def usage(wh: Warehouse) -> list[dict[str, Any]]:
    return rows_of(
        wh.con,
        "SELECT usage_date, model, calls, unpriced_calls, estimated_cost_usd AS usd FROM core.usage ORDER BY ALL",
    )


def call(day: int, **fields: Any) -> dict[str, Any]:
    return {"called_at": f"2026-03-{day:02d} 10:00:00+00", "feature": "a", "model": "gpt-5-mini", **fields}


def test_each_call_at_the_price_of_its_day_and_size() -> None:
    wh = new_warehouse()
    prices = parse_prices(
        "version: 1\nprices:\n  - {provider: openai, model: gpt-5-mini, valid_from: 2026-03-02, percent: -20}"
    )
    add_calls(
        wh,
        [
            # gpt-5-mini: $0.25 in, .025 cached, $2 out; the write has no price of its own.
            call(1, input_tokens=MILLION, cache_read_tokens=MILLION, cache_write_tokens=MILLION, output_tokens=MILLION),
            call(2, input_tokens=MILLION, output_tokens=0, reasoning_tokens=MILLION),
            # 150k each is below the threshold of 200k though their sum is above it.
            call(3, provider="anthropic", model="claude-sonnet-4-5", input_tokens=150_000, output_tokens=0),
            call(3, provider="anthropic", model="claude-sonnet-4-5", input_tokens=150_000, output_tokens=0),
            call(4, provider="anthropic", model="claude-sonnet-4-5", input_tokens=150_000, cache_read_tokens=60_000),
        ],
    )
    build_with(wh, prices)
    assert [(row["usage_date"].day, row["usd"]) for row in usage(wh)] == [
        (1, Decimal("2.525")),
        (2, Decimal("1.8")),
        (3, Decimal("0.9")),
        (4, Decimal("0.936225")),  # 150k × 6 + 60k × .6 + 10 out × 22.5
    ]


def build_with(wh: Warehouse, prices: Any) -> None:
    from tests.warehouse.ledger import NOW, TODAY
    from warehouse.build import build

    build(
        wh,
        features=FEATURES,
        run_id="r",
        now=NOW,
        as_of=TODAY,
        settled_through={},
        prices=PriceBook(prices),
    )


def test_unknown_is_null_and_counted_and_a_failure_without_tokens_is_billed_none() -> None:
    wh = new_warehouse()
    silent = dict.fromkeys(("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"))
    add_calls(
        wh,
        [
            call(1, model="no-such-model", input_tokens=5),
            call(2),
            call(2, **silent, reasoning_tokens=None),
            call(3, **silent, reasoning_tokens=None, status="error"),
            call(4, provider=None, model=None, status="error", input_tokens=0, output_tokens=0),
            call(5, model="no-such-model", status="error", input_tokens=0, output_tokens=0, gpu_seconds=1),
        ],
    )
    result = build_marts(wh, FEATURES)
    assert [(row["usage_date"].day, row["calls"], row["unpriced_calls"], row["usd"]) for row in usage(wh)] == [
        (1, 1, 1, None),
        (2, 2, 1, None),
        (3, 1, 0, Decimal(0)),
        (4, 1, 0, Decimal(0)),
        (5, 1, 1, None),
    ]
    assert any("no known price" in check.text and not check.ok for check in result.check_results)


def test_a_call_is_at_the_price_of_the_tier_that_served_it() -> None:
    wh = new_warehouse()
    tiers = (None, "standard", "batch", "flex", "priority", "other")
    add_calls(
        wh,
        [
            call(1, called_at=f"2026-11-0{day} 10:00:00+00", pricing_tier=tier, input_tokens=MILLION, output_tokens=0)
            for day, tier in enumerate(tiers, start=1)
        ],
    )
    build_marts(wh, FEATURES)
    assert [(row["usd"], row["unpriced_calls"]) for row in usage(wh)] == [
        (Decimal("0.25"), 0),
        (Decimal("0.25"), 0),
        (Decimal("0.125"), 0),
        (Decimal("0.125"), 0),
        (Decimal("0.45"), 0),
        (None, 1),  # no price list has it
    ]


def test_an_account_is_known_by_its_key_or_by_what_the_bill_says_of_the_key() -> None:
    wh = new_warehouse()
    add_charges(wh, [charge(1, api_key_id="key_a", sub_account_id="proj_a")])
    prices = parse_prices(
        "version: 1\nprices:\n"
        "  - {provider: openai, account: proj_a, valid_from: 2026-01-01, percent: -50}\n"
        "  - {provider: openai, account: key_b, valid_from: 2026-01-01, percent: 100}"
    )
    add_calls(
        wh,
        [call(day, api_key_id=key, input_tokens=MILLION, output_tokens=0) for day, key in enumerate("abc", start=1)],
    )
    wh.con.execute("UPDATE staging.stg_calls SET api_key_id = 'key_' || api_key_id")
    build_with(wh, prices)
    assert [row["usd"] for row in usage(wh)] == [Decimal("0.125"), Decimal("0.5"), Decimal("0.25")]


def test_reprice_compares_and_leaves_nothing() -> None:
    wh = new_warehouse()
    add_calls(wh, [call(day, input_tokens=MILLION, output_tokens=0) for day in (1, 2, 3)])
    dearer = parse_prices("version: 1\nprices: [{provider: openai, valid_from: 2026-03-02, percent: 100}]")
    period = {"since": date(2026, 3, 2), "until": date(2026, 3, 4)}
    before = rows_of(wh.con, "SELECT table_name FROM duckdb_tables() ORDER BY ALL")
    key = ("a", "openai", "gpt-5-mini")
    assert reprice(wh.con, PriceBook(), **period) == {key: (2, 0, Decimal("0.5"))}
    assert reprice(wh.con, PriceBook(dearer), **period) == {key: (2, 0, Decimal(1))}
    assert rows_of(wh.con, "SELECT table_name FROM duckdb_tables() ORDER BY ALL") == before


def test_splits_weigh_metered_tokens_by_price() -> None:
    # The meter: 3M in, 1M out at $0.25 and $2 = $2.75. a: 1M in = .25; b: 1M out = $2; .50 is nobody's.
    wh = new_warehouse()
    features = parse_features(
        "version: 1\nfeatures: {a: {}, b: {}}\nsplits: {s: {method: telemetry}}\nrules: [{when: {}, split: s}]"
    )
    add_charges(wh, [charge("5.50", model="gpt-5-mini")])
    wh.con.execute(
        """
        INSERT INTO core.metered_usage BY NAME
        SELECT 'm' AS source_name, 's' AS scope, 'd' AS delivery_id, 'openai' AS provider,
            DATE '2026-03-01' AS usage_date, 'gpt-5-mini' AS model, 3000000 AS input_tokens, 1000000 AS output_tokens
        """
    )
    add_calls(
        wh,
        [
            call(1, feature="a", input_tokens=MILLION, output_tokens=0),
            call(1, feature="b", input_tokens=0, output_tokens=MILLION),
        ],
    )
    build_marts(wh, features)
    found = rows_of(wh.con, "SELECT feature, effective_cost_usd AS usd FROM core.allocations ORDER BY feature")
    assert {row["feature"]: row["usd"].quantize(Decimal("1.000000")) for row in found} == {
        "a": Decimal("0.5"),
        "b": Decimal(4),
        "unallocated": Decimal(1),
    }


# What priced_hours must be, call by call.
SINGLY = """
SELECT
    source_name, date_trunc('hour', called_at) AS usage_hour, feature, provider, model, task_type, api_key_id,
    count(*) AS calls,
    count(*) FILTER (WHERE status = 'error') AS failed_calls,
    count(*) FILTER (WHERE attempt > 1) AS retries,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
    sum(tool_calls)::BIGINT AS tool_calls,
    sum(gpu_seconds::DECIMAL(18, 3)) AS gpu_seconds,
    count(estimated_cost_usd) AS priced_calls,
    sum(estimated_cost_usd) AS estimated_cost_usd,
    count(*) FILTER (WHERE pricing_tier = 'batch') AS batch_calls,
    sum(estimated_cost_usd) FILTER (WHERE pricing_tier = 'batch') AS batch_estimated_cost_usd,
    count(logged_cost_usd) AS logged_calls,
    sum(logged_cost_usd) AS logged_cost_usd
FROM priced_calls
GROUP BY ALL
"""
MODELS = (
    ("openai", "gpt-5-mini"),
    ("anthropic", "claude-sonnet-4-5"),  # dearer above 200,000 tokens
    ("deepseek", "deepseek-chat"),  # cheaper from 16:30 to 00:30
    ("openai", "no-such-model"),
)


@pytest.mark.parametrize("percent", ["-20", "-33.3337"])  # the second makes prices of more than six decimals
def test_dollars_by_the_hour_are_those_of_the_calls_to_the_digit(percent: str) -> None:
    rng = random.Random(percent)
    wh = new_warehouse()

    def tokens(most: int) -> int | None:
        return rng.choice((None, 0, rng.randrange(1000), rng.randrange(most)))

    calls = []
    for _ in range(1500):
        provider, model = rng.choice(MODELS)
        year, month = rng.choice(((2025, 3), (2026, 3)))  # deepseek's hours ended in September 2025
        at = f"{year}-{month:02d}-{rng.randint(1, 3):02d} {rng.choice((0, 9, 16)):02d}:{rng.randrange(60):02d}:30+00"
        kinds = {
            f"{kind}_tokens": tokens(260_000) for kind in ("input", "cache_read", "cache_write", "output", "reasoning")
        }
        if rng.random() < 0.1:
            kinds = dict.fromkeys(kinds, rng.choice((None, 0)))
        calls.append(
            {
                "called_at": at,
                "provider": provider,
                "model": model,
                "feature": rng.choice(("a", "b", None)),
                "status": rng.choice(("ok", "error", None)),
                "attempt": rng.choice((None, 1, 2)),
                "api_key_id": rng.choice((None, "key_a")),
                "pricing_tier": rng.choice((None, None, "standard", "batch", "flex", "other")),
                "gpu_seconds": rng.choice((None, 0.1234567)),
                "logged_cost_usd": rng.choice((None, Decimal("0.000123456789"))),
                **kinds,
            }
        )
    add_calls(wh, calls)
    build_with(
        wh,
        parse_prices(
            "version: 1\nprices:\n"
            f"  - {{provider: openai, model: gpt-5-mini, valid_from: 2026-03-02, percent: {percent}}}\n"
            "  - {provider: anthropic, account: key_a, valid_from: 2026-01-01, percent: -50}"
        ),
    )
    by_group, singly = (rows_of(wh.con, f"{sql} ORDER BY ALL") for sql in ("SELECT * FROM priced_hours", SINGLY))
    assert by_group == singly
    assert sum(row["priced_calls"] for row in singly) > 300
    ((_, plan),) = wh.con.execute("EXPLAIN SELECT sum(estimated_cost_usd) FROM priced_calls").fetchall()
    assert "NL_JOIN" not in plan  # not every price for every call
    bands = "SELECT count(DISTINCT price_id) > 2 FROM priced_calls WHERE model = 'deepseek-chat'"  # of two accounts
    assert wh.con.execute(bands).fetchall() == [(True,)]
