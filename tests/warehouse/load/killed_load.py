"""Loads of every kind, in processes of their own, that kill themselves before a statement of the load."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import duckdb

from connectors.base import FileScan, Window
from tests.warehouse.bills import (
    NOW,
    Home,
    bedrock_row,
    call_rows,
    charge_rows,
    csv_bytes,
    focus_row,
    gpu_row,
    usage_rows,
)
from warehouse.load import load_delivery
from warehouse.store import Warehouse

DAYS = Window(date(2026, 1, 1), date(2026, 1, 4))


class Doomed:
    """A connection that ends its process, as kill -9 does, before the statement that holds `word`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, word: str) -> None:
        self._con, self._word = con, word

    def execute(self, sql: str, *arguments: Any) -> Any:
        if self._word in sql:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._con.execute(sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)


def bill(home: Home, wh: Warehouse, version: int) -> None:
    """A billing period, restated."""
    rows = [make(day, f"{version}.25") for day in range(1, 5) for make in (focus_row, gpu_row, bedrock_row)]
    home.load_focus(wh, rows[: 12 - version], source="bills", scope="2026-01")


def split_bill(home: Home, wh: Warehouse, version: int) -> None:
    """A legacy CUR with a GPU node that its pods divide."""
    plain = {
        "bill_billing_period_start_date": "2026-01-01T00:00:00Z",
        "bill_payer_account_id": "999988887777",
        "bill_billing_entity": "AWS",
        "line_item_currency_code": "USD",
        "line_item_line_item_type": "Usage",
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_type": "USE1-BoxUsage:p5.48xlarge",
        "line_item_usage_account_id": "1",
        "line_item_usage_start_date": "2026-01-02T00:00:00Z",
        "pricing_unit": "Hrs",
        "line_item_usage_amount": "1",
        "line_item_operation": "RunInstances",
        "line_item_resource_id": "i-0gpu",
        "line_item_unblended_cost": f"{version}0",
        "split_line_item_parent_resource_id": "",
        "split_line_item_split_cost": "",
    }
    pods = [
        plain
        | {
            "line_item_operation": "EKSPod-EC2",
            "line_item_resource_id": f"pod/{n}",
            "split_line_item_parent_resource_id": "i-0gpu",
            "split_line_item_split_cost": f"{version}.5",
        }
        for n in range(2)
    ]
    delivery = home.land({"cur.csv": csv_bytes([plain, *pods])}, source="cur", scope="2026-01")
    scan = FileScan("cur_legacy", "csv", tuple(delivery.files.values()), {name: name for name in plain})
    load_delivery(wh, delivery, (scan,), now=home.clock)


def window(home: Home, wh: Warehouse, version: int) -> None:
    """An API's answer for days, charges and usage."""
    days = [
        {"charge_date": day, "billed_cost": Decimal(version), "effective_cost": Decimal(version)} for day in DAYS.days()
    ]
    home.load_rows(wh, charge_rows(*days), usage_rows(*({"usage_date": day} for day in DAYS.days())), window=DAYS)


def emptied(home: Home, wh: Warehouse, version: int) -> None:
    """An API's answer that the second time holds nothing."""
    days = [{"charge_date": day} for day in DAYS.days()] if version == 1 else []
    home.load_rows(wh, charge_rows(*days), usage_rows(), window=DAYS, source="anthropic", source_type="anthropic")


def calls(home: Home, wh: Warehouse, version: int) -> None:
    """A file of telemetry that has grown."""
    rows = call_rows(*({"task_id": f"t{number}"} for number in range(3 * version)))
    home.load_rows(wh, rows, source="calls", source_type="events", scope="calls.jsonl", replaces="scope")


KINDS: Mapping[str, Callable[[Home, Warehouse, int], None]] = {
    "bill": bill,
    "split_bill": split_bill,
    "window": window,
    "emptied": emptied,
    "calls": calls,
}


def load(root: str, kind: str, version: int, word: str = "") -> None:
    """Load a version of a kind; with `word`, die before the first statement that holds it."""
    home = Home(Path(root), clock=NOW + timedelta(days=version))
    with home.open() as wh:
        doomed = replace(wh, con=cast("duckdb.DuckDBPyConnection", Doomed(wh.con, word))) if word else wh
        KINDS[kind](home, doomed, version)
