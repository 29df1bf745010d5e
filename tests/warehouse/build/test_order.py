"""The published tables are the same to the last digit whatever the order of the rows that they are made of."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.warehouse.ledger import add_calls, add_charges, build_marts, charge, insert_rows, new_warehouse, rows_of
from warehouse.features import parse_features
from warehouse.store import Warehouse

FIRST = date(2026, 5, 28)
FEATURES = parse_features(
    """
version: 1
features:
  chat: {success: {outcomes: [ok]}, revenue: {per_user_usd: 3}}
  search: {}
  train: {}
rules:
  - {when: {sub_account_id: chat}, feature: chat}
  - {when: {sub_account_id: gateway}, split: gateway}
  - {when: {resource_id: {prefix: node}}, split: machines}
splits:
  gateway: {method: telemetry, features: [chat, search]}
  machines: {method: fixed, weights: {chat: 0.7, search: 0.3}}
"""
)
# What loads leave, and the build reads.
LOADED = (
    "core.charge_amounts",
    "core.charge_dimensions",
    "core.metered_usage",
    "core.gpu_utilization",
    "core.metered_hours",
    "ops.delivery_days",
    "staging.stg_calls",
    "staging.stg_outcomes",
)


def fill(wh: Warehouse) -> None:
    """Four days with everything that could tie or round: many GPUs, calls of one moment, calls that are told twice."""
    draw = random.Random(7)
    charges, calls, counters, outcomes = [], [], [], []
    for offset in range(3):
        day = FIRST + timedelta(days=offset)
        for n in range(40):
            cost = Decimal(draw.randrange(1, 10**9)) / 10**8
            account = draw.choice(["chat", "gateway", "stray"])
            charges.append(
                charge(
                    cost, charge_date=day, sub_account_id=account, model=draw.choice(["gpt-5", "o3", None]), tokens=n
                )
            )
            machine: dict[str, Any] = {"charge_date": day, "resource_id": f"node-{n}", "provider": "aws"}
            hours = Decimal(draw.randrange(1, 24_000)) / 1000
            charges.append(charge(cost, ai_kind="gpu", gpu_type="h100", gpu_hours=hours, **machine))
            charges.append(charge(cost / 7, ai_kind="other", service_name="Amazon EC2", **machine))
            utilization = Decimal(draw.randrange(1, 10**6)) / 10**6
            if offset < 1:
                counters.append(
                    {
                        "source_name": "dcgm", "scope": "s", "delivery_id": "g", "usage_date": day, "host": f"node-{n}",
                        "gpu": "0", "gpu_model": "NVIDIA H100", "samples": draw.randrange(20, 25),
                        "utilization": utilization,
                    }
                )  # fmt: skip
        for n in range(150):
            task = f"{day}-{n // 3}"
            call = {
                "called_at": f"{day} {draw.choice(['10:00:00', '10:02:00', '10:03:00'])}+00",
                "feature": draw.choice(["chat", "search"]),
                "model": draw.choice(["gpt-5", "o3", "llama"]),
                "task_id": task,
                "attempt": draw.choice([1, 1, 2]),
                "status": draw.choice(["ok", "ok", "error"]),
                "response_id": draw.choice([None, f"r{draw.randrange(200)}"]),
                "input_tokens": draw.choice([100, 2000, None]),
                "cache_read_tokens": draw.choice([0, 1000]),
                "cache_write_tokens": draw.choice([0, 50]),
                "output_tokens": draw.randrange(3),
                "outcome": draw.choice([None, "ok", "bad"]),
                "user_hash": draw.choice([None, "u1", "u2", "u3"]),
                "plan": draw.choice([None, "pro"]),
                "prompt_version": draw.choice(["v1", "v2"]),
            }
            if call["model"] == "llama":
                call |= {"provider": "self", "gpu_seconds": draw.randrange(1, 10**7) / 1000}
            calls.append(call)
            if n % 5 == 0:
                calls.append(
                    {**call, "source_name": "gateway", "output_tokens": draw.randrange(3), "feature": "search"}
                )
            outcomes.append(
                {
                    "source_name": "told", "scope": "o", "delivery_id": "o1", "task_id": task,
                    "outcome": draw.choice(["ok", "bad"]), "outcome_at": f"{day} 12:00:00+00",
                }
            )  # fmt: skip
    add_charges(wh, charges)
    add_calls(wh, calls)
    insert_rows(wh.con, "core.gpu_utilization", counters)
    insert_rows(wh.con, "staging.stg_outcomes", outcomes)


def shuffle(wh: Warehouse, seed: int) -> None:
    for table in LOADED:
        wh.con.execute(f"CREATE OR REPLACE TEMP TABLE shuffled AS SELECT * FROM {table}")
        wh.con.execute(f"DELETE FROM {table}")
        wh.con.execute(f"INSERT INTO {table} SELECT * FROM shuffled ORDER BY hash(rowid + {seed} * 1000003)")


def built(wh: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """Every row of what the build makes for readers."""
    build_marts(wh, FEATURES)
    tables = rows_of(
        wh.con,
        "SELECT schema_name || '.' || table_name AS name FROM duckdb_tables() WHERE NOT temporary AND "
        "(schema_name IN ('core', 'marts', 'focus') OR table_name = 'telemetry_issues') ORDER BY 1",
    )
    return {row["name"]: rows_of(wh.con, f"SELECT * FROM {row['name']} ORDER BY ALL") for row in tables}


def test_the_order_of_rows_and_the_number_of_threads_change_no_digit() -> None:
    wh = new_warehouse()
    fill(wh)
    expected = built(wh)
    filled = {table for table, rows in expected.items() if rows}
    assert filled >= {
        "core.allocations", "core.gpu_activity", "core.usage", "core.usage_hourly", "focus.cost_and_usage",
        "marts.coverage", "marts.gpu_cost_daily", "marts.gpu_economics_daily", "marts.unit_economics_daily",
        "marts.user_cost_monthly", "marts.waste_daily",
    }  # fmt: skip
    assert {row["utilisation_basis"] for row in expected["marts.gpu_economics_daily"]} == {"counters", "calls"}
    for seed in (1, 2):
        shuffle(wh, seed)
        wh.con.execute(f"SET threads = {seed}")
        found = built(wh)
        assert [table for table in expected if found[table] != expected[table]] == []
