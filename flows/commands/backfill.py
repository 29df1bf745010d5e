"""`trendbreak backfill` on the terminal: the plan with its price, the progress, and what came of it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.backfills import PlannedWindow, plan_backfill, run_backfill
from flows.run import progress
from flows.settings import Settings


def show_plan(
    settings: Settings, first: date, last: date, *, source: str | None, as_of: date | None, console: Console
) -> None:
    """One line per month and source, and the sum of what providers say they charge."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("days", "source", "deliveries", "in already", "price"):
        table.add_column(column)
    planned = []
    for one in plan_backfill(settings, first=first, last=last, source=source, as_of=as_of):
        planned.append(one)
        days = f"{one.window.start} to {one.window.end - timedelta(days=1)}"
        cells = (days, one.source_name, str(one.deliveries), str(one.loaded), _price(one))
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console.print(table)
    priced = [price for one in planned for price in one.prices]
    if priced:
        total = sum((price.usd for price in priced), Decimal(0))
        least = "at least " if any(price.is_at_least for price in priced) else ""
        console.print(Text(f"providers charge {least}${total:f} for it: {', '.join(_bases(planned))}"))
    console.print(Text("nothing was fetched; without --dry-run it begins"))


def _price(one: PlannedWindow) -> str:
    if one.failure:
        return one.failure
    if not one.prices:
        return "–"
    return ("≥ " if any(price.is_at_least for price in one.prices) else "") + f"${one.usd:f}"


def _bases(planned: list[PlannedWindow]) -> list[str]:
    """How the prices are known, once per source."""
    first = {one.source_name: one.prices[0].basis for one in reversed(planned) if one.prices}
    return [f"{name}: {basis}" for name, basis in sorted(first.items())]


def show_backfill(
    settings: Settings,
    first: date,
    last: date,
    *,
    reason: str,
    source: str | None,
    as_of: date | None,
    console: Console,
) -> None:
    """Run it with a line per month; raises BackfillFailed when months are not in."""
    from flows.summary import show_summary

    def say(text: str) -> None:
        console.print(Text(text), soft_wrap=True)

    with progress(lambda label, failure: say(f"  ✗ {label}: {failure}" if failure else f"  ✓ {label}")):
        summary = run_backfill(settings, first=first, last=last, reason=reason, source=source, as_of=as_of, say=say)
    show_summary(summary, console)
