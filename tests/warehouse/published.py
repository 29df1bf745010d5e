"""A real home on disk with a built warehouse and a published snapshot, as a run leaves it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from flows.steps.drivers import write_drivers
from tests.warehouse.ledger import NOW, TODAY, add_calls, add_charges, build_marts, charge
from warehouse.features import Features, parse_features
from warehouse.publish import publish
from warehouse.state import StateStore
from warehouse.store import Warehouse, open_warehouse

FEATURES = """
version: 1
features:
  chat: {owner: "@maya", unit: answer, monthly_budget_usd: 1000, success: {outcomes: [ok], outcome_settles_days: 1}}
  search: {owner: "@lin", monthly_budget_usd: 200}
  train: {}
rules:
  - {name: chat project, when: {sub_account_id: chat}, feature: chat}
  - {name: search project, when: {sub_account_id: search}, feature: search}
  - {name: training nodes, when: {resource_id: {prefix: node}}, feature: train}
"""
LAST = TODAY - timedelta(days=1)
FIRST = LAST - timedelta(days=69)
HOSTILE = "'; DROP TABLE x; -- <b>|\n\x1b[31m"


def features() -> Features:
    return parse_features(FEATURES)


def fill(wh: Warehouse) -> None:
    """70 days of two projects, a GPU machine, an unknown key, tax and a credit, with calls of `chat`."""
    charges, calls = [], []
    for n in range(70):
        day = FIRST + timedelta(days=n)
        model = {"model": "gpt-5", "token_type": "input", "tokens": 1_000_000, "charge_date": day}
        charges += [
            charge(20 + n % 7, sub_account_id="chat", api_key_id="key-chat", **model),
            charge(5, sub_account_id="search", api_key_id="key-search", **model),
            charge(
                8, provider="aws", ai_kind="gpu", gpu_type="h100", gpu_hours=2, resource_id="node-1", charge_date=day
            ),
            charge(
                2, provider="aws", ai_kind="other", resource_id="node-1", service_name="Amazon EC2", charge_date=day
            ),
        ]
        if n >= 66:
            charges.append(charge(30, api_key_id=HOSTILE, sub_account_id="stray", model="o3", charge_date=day))
        if day.day == 1:
            charges.append(charge(3, charge_category="Tax", charge_date=day))
        for task in range(4):
            at = f"{day} 10:0{task}:00+00"
            task_id = f"{n}-{task}"
            known = {"task_id": task_id, "outcome": "ok" if task else "bad", "user_hash": f"u{task}"}
            calls.append({"called_at": at, "feature": "chat", **known})
        calls.append({"called_at": f"{day} 11:00:00+00", "feature": "chat", "task_id": f"{n}-0", "attempt": 2})
    charges.append(charge(-4, sub_account_id="chat", charge_category="Credit", charge_date=LAST))
    add_charges(wh, charges)
    add_calls(wh, calls)
    wh.con.execute(
        """
        INSERT INTO ops.deliveries BY NAME
        SELECT 'd1' AS delivery_id, 'bill' AS source_name, 'focus_files' AS source_type, '2026' AS scope,
               min(charge_date) AS window_start, max(charge_date) + 1 AS window_end, 'h' AS content_hash,
               'p' AS landed_path, ?::TIMESTAMPTZ AS fetched_at, ?::TIMESTAMPTZ AS loaded_at, count(*) AS source_rows,
               TRUE AS is_current
        FROM core.charges
        """,
        [NOW, NOW],
    )


def fill_state(state: StateStore) -> None:
    """An open incident and a forecast to the end of the month."""
    state.create()
    state.save_incident(
        {
            "id": "inc-1", "node": "unallocated", "direction": "up", "episode": 1, "kind": "cost", "label": "growth",
            "severity": "high", "status": "open", "onset": LAST - timedelta(days=3), "last_day": LAST, "opened_at": NOW,
            "updated_at": NOW, "excess_usd_per_day": Decimal("30.00"), "excess_usd_total": Decimal("120.00"),
            "excess_percent": Decimal("100"), "channel": "#ai", "owner": "@maya", "details": {"usd": Decimal("1.20")},
        }
    )  # fmt: skip
    rows = [
        {
            "as_of": TODAY,
            "feature": feature,
            "forecast_date": LAST + timedelta(days=step),
            "issued_at": NOW,
            "model": "ensemble",
            "mean_usd": Decimal("10.00"),
        }
        for feature in ("chat", "search")
        for step in range(1, 31)
    ]
    state.save_forecasts(rows)


def state_of(home: Path) -> StateStore:
    return StateStore(f"sqlite:///{home / 'state.sqlite'}")


def published_path(home: Path) -> Path:
    return home / "published" / "trendbreak.duckdb"


def make_home(home: Path, *, settled: date = LAST) -> Path:
    """Build and publish; returns the published file."""
    state = state_of(home)
    with open_warehouse(home, threads=1) as wh:
        fill(wh)
        build_marts(wh, features(), settled_through={"bill": settled})
        write_drivers(wh.con)
        fill_state(state)
        return publish(wh, state, published=published_path(home), now=NOW)
