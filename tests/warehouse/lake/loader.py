"""One writer of a lake, in a process of its own, which may be killed.

It loads the deliveries of one source one after the other; each restates the one before.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from tests.warehouse.bills import Home, charge_rows
from warehouse.lake import Lake
from warehouse.store import Warehouse, open_warehouse

DAYS = 5


def load(wh: Warehouse, home: Home, source: str, milli: int) -> None:
    """One answer of an API for January's first days: each costs `milli` thousandths."""
    cost = Decimal(milli) / 1000
    rows = [
        {
            "charge_date": date(2026, 1, day),
            "billing_account_id": source,
            "billed_cost": cost,
            "effective_cost": cost,
        }
        for day in range(1, DAYS + 1)
    ]
    home.load_rows(wh, charge_rows(*rows), source=source, content=f"{source} {milli}")


def run(catalogue: str, data_path: str, root: str, source: str, costs: tuple[int, ...]) -> None:
    """Load one delivery per cost into the lake, and tell each that is in by a line of `<root>/loaded`."""
    home = Home(Path(root))
    with open_warehouse(home.root, threads=1, lake=Lake(catalogue, data_path)) as wh:
        for milli in costs:
            load(wh, home, source, milli)
            with (home.root / "loaded").open("a") as told:
                told.write(f"{milli}\n")
