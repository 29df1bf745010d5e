"""marts.waste_daily where it takes many calls to tell, by hand; and that no dollar is wasted twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.warehouse.ledger import add_calls, add_charges, build_marts, charge, new_warehouse, rows_of
from warehouse.features import parse_features
from warehouse.store import Warehouse

FEATURES = parse_features("version: 1\nfeatures: {a: {}}\nrules: [{when: {}, feature: a}]")


def wasted(bill: Any, calls: list[dict[str, Any]]) -> dict[str, tuple[Decimal, int]]:
    """Kind → (dollars, calls) of a day whose calls of gpt-5 ($1.25 in, .125 cached, $10 out) cost `bill`."""
    wh = new_warehouse()
    add_charges(wh, [charge(bill, model="gpt-5")])
    add_calls(wh, [{"feature": "a", "output_tokens": 0, **call} for call in calls])
    build_marts(wh, FEATURES)
    rows = rows_of(wh.con, "SELECT waste_kind, waste_usd, affected_calls FROM marts.waste_daily")
    return {row["waste_kind"]: (row["waste_usd"].quantize(Decimal("1e-9")), row["affected_calls"]) for row in rows}


def at(minute: int, second: int = 0) -> str:
    return f"2026-03-01 {10 + minute // 60:02d}:{minute % 60:02d}:{second:02d}+00"


def test_a_runaway_task_beyond_what_a_task_needs() -> None:
    # Twenty tasks of one call, one of thirty: 29 of fifty dollars.
    calls = [{"called_at": at(n), "task_id": f"t{n}"} for n in range(20)]
    calls += [{"called_at": at(30, n), "task_id": "runaway"} for n in range(30)]
    assert wasted(50, calls) == {"loop": (Decimal(29), 29)}


def test_ten_calls_are_no_loop() -> None:
    calls = [{"called_at": at(n), "task_id": f"t{n}"} for n in range(20)]
    calls += [{"called_at": at(30, n), "task_id": "long"} for n in range(10)]
    assert wasted(30, calls) == {}


HIT = {"input_tokens": 1000, "cache_read_tokens": 1000}
MISS = {"input_tokens": 2000, "cache_read_tokens": 0}


@pytest.mark.parametrize(
    ("minutes_after", "fields", "expected"),
    [
        # Estimates: ten hits of $.001375 and a miss of $.0025, billed at a thousand times that. The miss paid 1.25
        # instead of .125 for 1,000 tokens.
        (1, MISS, {"uncached_prefix": (Decimal("1.125"), 1)}),
        (6, MISS, {}),  # the cache had gone cold
        (1, {**MISS, "prompt_version": "v2"}, {}),  # another prompt
    ],
)
def test_a_prefix_that_others_read_from_the_cache(
    minutes_after: int, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    calls = [{"called_at": at(n), "task_id": f"t{n}", **HIT} for n in range(10)]
    calls.append({"called_at": at(9 + minutes_after), "task_id": "t", **fields})
    assert wasted("16.25", calls) == expected


def test_input_far_beyond_the_usual() -> None:
    # Twenty calls of 1,000 tokens and one of 5,000: 3,000 of 25,000 are beyond twice the 90th percentile.
    calls = [{"called_at": at(n), "task_id": f"t{n}", "input_tokens": 1000} for n in range(20)]
    calls.append({"called_at": at(40), "task_id": "t", "input_tokens": 5000})
    assert wasted(25, calls) == {"context": (Decimal(3), 1)}


def crowd(seed: int) -> Warehouse:
    """600 calls of every habit, priced and unpriced."""
    rng = np.random.default_rng(seed)
    wh = new_warehouse()
    calls = [
        {
            "called_at": at(int(rng.integers(0, 600)), int(rng.integers(0, 60))),
            "feature": "a",
            "model": str(rng.choice(["gpt-5", "own-model"])),
            "task_id": f"t{int(rng.exponential(40))}",
            "attempt": int(rng.integers(1, 3)),
            "status": str(rng.choice(["ok", "error"], p=[0.8, 0.2])),
            "input_tokens": int(rng.exponential(2000)),
            "cache_read_tokens": int(rng.choice([0, 1500])),
            "output_tokens": int(rng.exponential(100)),
        }
        for _ in range(600)
    ]
    add_charges(wh, [charge("123.456789", model="gpt-5"), charge("7.7", model="own-model")])
    add_calls(wh, calls)
    build_marts(wh, FEATURES)
    return wh


def test_no_dollar_is_wasted_twice() -> None:
    wh = crowd(5)
    rows = rows_of(wh.con, "SELECT waste_kind, waste_usd FROM marts.waste_daily")
    assert {"failure", "retry", "uncached_prefix", "context"} <= {row["waste_kind"] for row in rows}
    assert all(row["waste_usd"] > 0 for row in rows)
    assert Decimal(10) < sum(row["waste_usd"] for row in rows) <= Decimal("131.156789")
