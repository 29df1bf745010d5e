"""A whole run over an invented home: land, load, build. It runs in processes of its own, to be killed.

Every round brings new content for everything: the bill of the month is restated, the API's window
moves on and restates, the telemetry file grows. What must stand afterwards is plain arithmetic.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from connectors.base import Window
from tests.warehouse.bills import (
    NOW,
    Home,
    bedrock_row,
    call_rows,
    charge_rows,
    csv_bytes,
    focus_row,
    focus_scan,
    gpu_row,
    parquet_bytes,
    usage_rows,
)
from warehouse.build import BuildResult, build
from warehouse.features import parse_features
from warehouse.forgetting import forget, read_standing, rename
from warehouse.load import load_delivery

FEATURES = parse_features(
    """
version: 1
features:
  support_chat: {success: {outcomes: [resolved]}}
  search: {}
rules:
  - {when: {provider: openai}, split: gateway}
  - {when: {tag.feature: support_chat}, feature: support_chat}
splits:
  gateway: {method: fixed, weights: {support_chat: 0.6, search: 0.4}}
"""
)
ACCOUNTS = ("a", "b")


def bill(account: str, round_number: int) -> list[dict[str, object]]:
    cost = str(Decimal("0.001") * (round_number + 1))
    factories = (focus_row, gpu_row, bedrock_row)
    return [
        factories[(day + round_number) % 3](day, cost, hour=hour, BillingAccountId=account)
        for day in range(1, 21)
        for hour in range(3)
    ]


def window_of(round_number: int) -> Window:
    start = date(2026, 1, 1) + timedelta(days=round_number % 5)
    return Window(start, start + timedelta(days=4))


def expected(round_number: int) -> dict[str, Decimal]:
    """Σ effective cost per source, the calls and the tasks once the round has ended."""
    api: dict[date, Decimal] = {}
    for number in range(round_number + 1):
        for day in window_of(number).days():
            api[day] = Decimal(number + 1)
    return {
        "bills": Decimal("0.001") * (round_number + 1) * 60 * len(ACCOUNTS),
        "openai": sum(api.values(), Decimal(0)),
        "calls": Decimal(2 * (round_number + 1)),
    }


def run_round(root: str, round_number: int) -> BuildResult:
    """One run as the daily flow makes it."""
    home = Home(Path(root), clock=NOW + timedelta(days=round_number))
    home.landing.sweep()
    window = window_of(round_number)
    with home.open() as wh:
        for account in ACCOUNTS:
            rows = bill(account, round_number)
            name, data = ("a.csv", csv_bytes(rows)) if account == "a" else ("b.parquet", parquet_bytes(rows))
            delivery = home.land({name: data}, source="bills", scope=f"account {account}")
            load_delivery(wh, delivery, (focus_scan(delivery.files.values(), rows[0]),), now=home.clock)
        cost = Decimal(round_number + 1)
        days = [{"charge_date": day, "billed_cost": cost, "effective_cost": cost} for day in window.days()]
        home.load_rows(
            wh, charge_rows(*days), usage_rows(*({"usage_date": day} for day in window.days())), window=window
        )
        calls = [
            {"task_id": f"t{number}", "attempt": attempt, "outcome": "resolved"}
            for number in range(round_number + 1)
            for attempt in (1, 2)
        ]
        home.load_rows(
            wh, call_rows(*calls), source="calls", source_type="events", scope="calls.jsonl", replaces="scope"
        )
        return build(
            wh,
            features=FEATURES,
            run_id=f"round-{round_number}",
            now=home.clock,
            as_of=date(2026, 2, 3),
            settled_through={"bills": date(2026, 1, 20), "openai": date(2026, 1, 4)},
        )


def run_forget(root: str, source_name: str) -> None:
    """`trendbreak forget`, where anything stands."""
    home = Home(Path(root), clock=NOW + timedelta(days=30))
    with home.open() as wh:
        if read_standing(wh, source_name) is not None:
            forget(wh, source_name, now=home.clock)


def run_rename(root: str, old: str, new: str) -> None:
    """`trendbreak rename`, where anything stands under the old name."""
    home = Home(Path(root), clock=NOW + timedelta(days=30))
    with home.open() as wh:
        standing = read_standing(wh, old)
        if standing is not None:
            rename(wh, old, new, new_type=standing.source_type, landing=Path(root) / "landing")
