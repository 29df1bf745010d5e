"""`trendbreak invoice`: the totals that providers ask for, beside the charges that were loaded."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from flows.commands.close import read_month
from flows.errors import FlowError
from flows.run import Home, open_run
from flows.settings import Settings

_LARGEST = Decimal(10) ** 15
_DECIMALS = 12
_PARTS = ("tax", "credits", "late", "rounding", "unexplained")


def add_invoice(
    settings: Settings,
    source: str,
    month: str,
    amount: str,
    currency: str,
    console: Console,
    *,
    account: str = "",
) -> None:
    """Record it (the same source, account and month again replaces it), build, publish, and print the comparison."""
    from flows.steps import build

    settings.source(source)  # an unknown name is told with the nearest one
    first = read_month(month)
    billed_cost = _read_amount(amount)
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise FlowError(f"{currency!r} is no currency — write its ISO code, as USD")
    with open_run(settings) as run, run.warehouse.turn("build"):
        run.state.save_invoice(
            {
                "source_name": source,
                "billing_account_id": account,
                "month": first,
                "billed_cost": billed_cost,
                "billing_currency": currency,
                "recorded_at": run.now,
                "who": run.who,
            }
        )
        build.build_warehouse(run)
        build.publish_snapshot(run)
    for row in _read(settings):
        if (row["source_name"], row["billing_account_id"], row["month"]) == (source, account, first):
            _show(row, console)


def list_invoices(settings: Settings, console: Console) -> None:
    """Print every comparison of the snapshot, the newest month first."""
    rows = _read(settings)
    for row in rows:
        _show(row, console)
    if not rows:
        console.print(Text("no invoice is recorded yet — `trendbreak invoice add` records one"))


def _read(settings: Settings) -> list[dict[str, Any]]:
    from warehouse.reads import open_snapshot, read_invoices

    with open_snapshot(Home(settings.home).published) as snapshot:
        return read_invoices(snapshot)


def _read_amount(text: str) -> Decimal:
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)", text, re.ASCII):
        raise FlowError(f"{text!r} is no amount — write it as 1234.56, without separators or sign of currency")
    amount = Decimal(text)
    if abs(amount) >= _LARGEST:
        raise FlowError(f"{text!r} is too large for an invoice — at most 15 digits before the point")
    if len(text.partition(".")[2].rstrip("0")) > _DECIMALS:
        raise FlowError(f"{text!r} has more than {_DECIMALS} decimals — round it to {_DECIMALS}")
    return amount


def _show(row: dict[str, Any], console: Console) -> None:
    month: date = row["month"]
    where = " ".join(part for part in (row["source_name"], row["billing_account_id"]) if part)
    currency = row["billing_currency"]
    line = (
        f"{month:%Y-%m} {where}: invoice {row['invoice_billed_cost']:,.2f} {currency}, "
        f"charges {row['charged_billed_cost']:,.4f}, difference {row['difference']:+,.4f}"
    )
    parts = [f"{name} {row[name]:+,.4f}" for name in _PARTS if row[name]]
    text = f"{line} = {', '.join(parts)}" if parts else line
    console.print(Text(text, style="" if row["is_explained"] else "yellow"), soft_wrap=True)
