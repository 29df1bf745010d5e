"""`trendbreak forecast` and `trendbreak budget`: what was issued by the newest run, for people, scripts and cron."""

from __future__ import annotations

import calendar
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.figures import format_likely, format_short_day
from flows.errors import FlowError
from flows.settings import Settings

PERIODS = {"month": "this month", "next_month": "next month", "90_days": "next 90 days"}
FORMATS = ("table", "json")
ALL_FEATURES = "all features"
_FEATURE_WIDTH = 16  # a longer name is folded before figures are stacked


def show_forecast(settings: Settings, console: Console, *, feature: str | None, fmt: str) -> None:
    """Per feature the totals of this month, next month and 90 days with their 80% intervals.

    Raises FlowError where no run has issued any, for an unknown feature, and for an unknown format.
    """
    _check_format(fmt)
    rows = _newest(_state(settings).list_period_forecasts())
    if feature is not None:
        known = sorted({row["feature"] for row in rows})
        rows = [row for row in rows if row["feature"] == feature]
        if not rows:
            raise FlowError(f"no forecast of {feature!r}; there are: {', '.join(known)}")
    if fmt == "json":
        console.print_json(json.dumps([_plain(row) for row in rows]), highlight=False)
        return
    by_feature: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_feature.setdefault(row["feature"], {})[row["period"]] = row
    first = rows[0]
    last = sorted(by_feature, key=lambda name: (name == ALL_FEATURES, -by_feature[name]["month"]["mean_usd"], name))
    rows_of: dict[str, list[str | tuple[str, str, str]]] = {
        name: [
            _usd(by_feature[name]["month"]["actual_usd"]),
            *(_totals(by_feature[name][period]) for period in PERIODS),
        ]
        for name in last
    }
    console.print(_forecast_table(rows_of, console.width))
    console.print(
        Text(f"issued {first['issued_at']:%Y-%m-%d %H:%M} UTC; in brackets: where the total ends in 4 of 5 cases")
    )


def _forecast_table(rows: Mapping[str, Sequence[str | tuple[str, str, str]]], width: int) -> Table:
    """A row per feature. A total stands beside its interval, or above it where the terminal is too narrow: what bounds
    it is never cut."""
    titles = ("so far", *PERIODS.values())
    for layout in ("{} ({}–{})", "{}\n({}–{})", "{}\n({}\n–{})"):
        shown = {
            name: [cell if isinstance(cell, str) else layout.format(*cell) for cell in cells]
            for name, cells in rows.items()
        }
        columns = [[title, *cells] for title, *cells in zip(titles, *shown.values(), strict=True)]
        needed = sum(max(len(line) for cell in column for line in cell.split("\n")) + 2 for column in columns)
        if needed + min(_FEATURE_WIDTH, max(map(len, rows))) <= width:
            break
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("feature", overflow="fold")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name, cells in shown.items():
        if name == ALL_FEATURES and len(shown) > 1:
            table.add_section()
        table.add_row(Text(name), *(Text(cell) for cell in cells))
    return table


def show_budgets(settings: Settings, console: Console, *, fmt: str, threshold: float) -> bool:
    """Every budget: spent, pace, expected total, probability and day of the breach. True when none is more likely
    than `threshold` to be broken. Raises FlowError where no feature has a budget, or no run has issued forecasts."""
    _check_format(fmt)
    state = _state(settings)
    month_ends = _newest(state.list_month_ends())
    ahead = [row["first_date"] for row in _newest(state.list_period_forecasts()) if row["period"] == "90_days"]
    through = min(ahead) - timedelta(days=1)
    rows = [_budget_row(row, through) for row in month_ends if row["monthly_budget_usd"]]
    if not rows:
        raise FlowError(
            "no feature with costs has a budget — give one `monthly_budget_usd` in features.yml and run again"
        )
    rows.sort(key=lambda row: (row["feature"] == ALL_FEATURES, -row["breach_probability"], row["feature"]))
    if fmt == "json":
        console.print_json(json.dumps([_plain(row) for row in rows]), highlight=False)
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("feature", overflow="fold")
        for title in ("budget", "spent", "pace", "expected", "over budget", "about"):
            table.add_column(title, justify="right", no_wrap=True)
        for row in rows:
            over = row["breach_probability"] > threshold
            table.add_row(
                Text(row["feature"]),
                _usd(row["monthly_budget_usd"]),
                _usd(row["month_to_date_usd"]),
                f"{row['pace']:.0%}",
                _usd(row["mean_usd"]),
                Text(format_likely(row["breach_probability"]), style="bold red" if over else ""),
                format_short_day(row["breach_date"]) if row["breach_date"] else "–",
            )
        console.print(table)
        console.print(Text("pace: spent, of the budget's even share of the days so far"))
    return all(row["breach_probability"] <= threshold for row in rows)


def show_coverage(settings: Settings, *, fmt: str) -> None:
    """The canned query `forecast-coverage`: the share of days inside the intervals that were issued for them."""
    from flows.commands.query import run_adhoc

    _check_format(fmt)
    run_adhoc("forecast-coverage", settings.home, fmt=fmt, output=None, timeout_seconds=60)


def _budget_row(row: dict[str, Any], through: date) -> dict[str, Any]:
    """`pace`: spent relative to the budget's even spread over the settled days of the month."""
    month: date = row["month"]
    share = Decimal((through - month).days + 1) / calendar.monthrange(month.year, month.month)[1]
    pace = row["month_to_date_usd"] / (row["monthly_budget_usd"] * share)
    return {
        "feature": row["feature"],
        "month": month,
        "monthly_budget_usd": row["monthly_budget_usd"],
        "month_to_date_usd": row["month_to_date_usd"],
        "pace": round(float(pace), 4),
        "mean_usd": row["mean_usd"],
        "lower_80_usd": row["lower_80_usd"],
        "upper_80_usd": row["upper_80_usd"],
        "breach_probability": row["breach_probability"] or 0.0,
        "breach_date": row["breach_date"],
    }


def _state(settings: Settings) -> Any:
    from flows.commands.incidents import open_state

    return open_state(settings)


def _newest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    newest = max((row["issued_at"] for row in rows), default=None)
    if newest is None:
        raise FlowError("nothing is forecast yet — `trendbreak run` issues forecasts")
    return [row for row in rows if row["issued_at"] == newest]


def _check_format(fmt: str) -> None:
    if fmt not in FORMATS:
        raise FlowError(f"unknown format {fmt!r} — one of: {', '.join(FORMATS)}")


def _totals(row: dict[str, Any]) -> tuple[str, str, str]:
    return _usd(row["mean_usd"]), _usd(row["lower_80_usd"]), _usd(row["upper_80_usd"])


def _usd(amount: Decimal) -> str:
    return f"${amount:,.0f}" if abs(amount) >= 100 else f"${amount:,.2f}"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Money as text with all its digits, days in ISO 8601."""
    return {
        name: str(value) if isinstance(value, Decimal) else value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in row.items()
    }
