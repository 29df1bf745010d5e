"""A billing export in BigQuery, as the daily run reads it: all of it at first, and settled by what was measured."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows.run import open_run
from flows.settings import load_settings
from flows.steps.build import settle_days
from tests.connectors.gcp_billing.export_rows import TABLE, net, row
from tests.flows.ingesting import Company
from tests.servers.bigquery import new_dataset
from warehouse.store import Warehouse, open_warehouse
from warehouse.watermarks import measured_settle_days

LAST = date(2026, 3, 1)


def used_on(day: date, cost: str, lag_days: int) -> dict[str, Any]:
    exported = day + timedelta(days=lag_days)
    return row(f"{day}T10:00:00", cost, exported=f"{exported}T21:00:00")


def arrive(warehouse: Warehouse, day: date, costs: dict[int, str]) -> None:
    """What a day of use cost, by the days until it was written."""
    for lag, cost in costs.items():
        written = day + timedelta(days=lag)
        known = [f"d{written}", "gcp", f"account/{written}"]
        if not warehouse.con.execute("SELECT 1 FROM ops.deliveries WHERE delivery_id = ?", known[:1]).fetchone():
            warehouse.con.execute(
                "INSERT INTO ops.deliveries (delivery_id, source_name, source_type, scope, window_start, "
                "window_end, content_hash, landed_path, fetched_at, loaded_at, source_rows, is_current, replaces) "
                "VALUES (?, ?, 'gcp_billing', ?, ?, ?, 'h', 'p', now(), now(), 1, TRUE, 'scope')",
                [*known, written, written + timedelta(days=1)],
            )
        warehouse.con.execute(
            "INSERT INTO ops.delivery_days (delivery_id, load_number, source_name, scope, charge_date, "
            "billing_currency, basis, source_rows, billed_cost, effective_cost, is_current) "
            "VALUES (?, 1, ?, ?, ?, 'USD', 'reported', 1, ?, ?, TRUE)",
            [*known, day, Decimal(cost), Decimal(cost)],
        )


def fill(warehouse: Warehouse, costs: dict[int, str], count: int = 40) -> None:
    for back in range(1, count + 1):
        arrive(warehouse, LAST - timedelta(days=back), costs)


def test_the_first_run_reads_every_partition_and_a_day_may_stand_in_two(tmp_path: Path) -> None:
    billing = new_dataset()
    billing.create(TABLE)
    rows = [used_on(LAST - timedelta(days=1), "6", 0), used_on(LAST - timedelta(days=1), "3", 1)]
    rows += [used_on(date(2025, 5, 31), "100.25", 0)]  # behind backfill_days
    billing.load(TABLE, rows)
    company = Company(
        tmp_path,
        [{"name": "gcp", "type": "gcp_billing", **billing.options()}],
        now=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    )
    run = company.run(build=True)
    assert not run.failures
    assert company.billed() == net(rows)
    assert company.ask("SELECT min(window_start) FROM ops.deliveries") == [(date(2025, 5, 31),)]
    assert company.ask("SELECT settle_days FROM marts.freshness") == [(2,)]  # too little to measure
    with company.warehouse() as warehouse:
        warehouse.con.execute("DELETE FROM ops.delivery_days")
        fill(warehouse, {0: "66", 3: "34"})
    with open_run(load_settings(company.config), as_of=LAST, now=company.now) as run:
        assert settle_days(run) == {"gcp": 3}


class TestMeasuring:
    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> Any:
        with open_warehouse(tmp_path) as opened:
            yield opened

    def measure(self, warehouse: Warehouse) -> int | None:
        return measured_settle_days(warehouse, "gcp", as_of=LAST)

    def test_a_cent_that_comes_late_and_a_single_bad_day_hold_up_nothing(self, warehouse: Warehouse) -> None:
        fill(warehouse, {0: "66", 1: "34", 6: "0.5"})
        arrive(warehouse, LAST - timedelta(days=20), {9: "500"})
        assert self.measure(warehouse) == 1

    def test_credits_weigh_like_costs(self, warehouse: Warehouse) -> None:
        fill(warehouse, {0: "66", 4: "-34"})
        assert self.measure(warehouse) == 4

    def test_too_few_days_tell_nothing(self, warehouse: Warehouse) -> None:
        assert self.measure(warehouse) is None
        fill(warehouse, {0: "66", 1: "34"}, count=20)
        assert self.measure(warehouse) is None

    def test_an_export_cut_by_days_of_use_tells_nothing(self, warehouse: Warehouse) -> None:
        fill(warehouse, {0: "66"})
        assert self.measure(warehouse) is None

    def test_what_was_used_before_the_export_was_switched_on_is_no_lag(self, warehouse: Warehouse) -> None:
        fill(warehouse, {0: "66", 2: "34"}, count=30)
        for back in range(31, 60):
            day = LAST - timedelta(days=back)
            arrive(warehouse, day, {(LAST - timedelta(days=30) - day).days: "100"})
        assert self.measure(warehouse) == 2

    def test_lags_have_an_end(self, warehouse: Warehouse) -> None:
        fill(warehouse, {0: "10", 15: "90"}, count=60)
        assert self.measure(warehouse) == 10
