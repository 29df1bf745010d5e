"""ReportData → one HTML page that needs no network: styles and drawings are inside, scripts there are none."""

from __future__ import annotations

import calendar
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.report import figures, geometry
from flows.report.data import WATCHES, FeatureRow, IncidentRow, MonthForecast, ReportData, WatchRow, group_watches

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATE = "page.html.j2"
_SPARK = (160.0, 36.0)
_INCIDENT = (420.0, 112.0)
_MONTH = (960.0, 300.0)
# Below this a change is noise to a reader, and is written in grey.
_QUIET_CHANGE = Decimal("0.10")
_LABELS = {
    "growth": "more volume",
    "efficiency": "more cost per task",
    "mix": "a different mix",
    "price": "a higher price",
    "idle": "idle capacity",
}


_WASTE_ROWS = 8
_WASTE_KINDS = {
    "loop": "tasks that ran away in a loop",
    "failure": "calls that failed and were billed",
    "retry": "answers that were asked for again",
    "uncached_prefix": "prompt beginnings paid in full though they could be cached",
    "context": "context far beyond what its tasks need",
    "idle_gpu": "GPU hours that served no call",
}


@dataclass(frozen=True)
class Drawing:
    """Paths of one small chart. `text` is what a screen reader says."""

    width: float
    height: float
    text: str
    line: str
    area: str = ""
    band: str = ""
    expected: str = ""
    broken: str = ""  # the part of the line since the break
    onset_percent: float | None = None  # from the left
    end: tuple[float, float] | None = None  # the last point, in percent


@dataclass(frozen=True)
class Tick:
    """A label beside the plot, placed in percent so that its text keeps its size on a phone."""

    percent: float
    text: str
    is_minor: bool = False


@dataclass(frozen=True)
class MonthChart:
    width: float
    height: float
    text: str
    actual: str
    actual_area: str
    expected: str
    band: str
    budget_percent: float | None
    today_percent: float
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class FeatureView:
    row: FeatureRow
    name: str
    share: str
    share_percent: float
    change: str
    tone: str  # up | down | quiet
    cost: Drawing
    unit_cost: Drawing | None
    unit_change: str
    unit_tone: str
    success: str
    incidents: int


@dataclass(frozen=True)
class BudgetView:
    name: str
    to_date: str
    forecast: str
    budget: str
    difference: str
    is_over: bool
    to_date_percent: float
    forecast_percent: float
    budget_percent: float


@dataclass(frozen=True)
class IncidentView:
    row: IncidentRow
    name: str
    anchor: str
    figure: str
    figure_note: str
    label: str
    chart: Drawing | None
    chart_end: date | None


def render_report(data: ReportData) -> str:
    """The whole page. Every text of `data` is escaped; the same data gives the same bytes."""
    return _template().render(**_context(data))


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        usd=figures.usd,
        signed_usd=figures.signed_usd,
        percent=figures.percent,
        likely=figures.likely,
        day=figures.day,
        long_day=figures.long_day,
        name=figures.title,
        plural=figures.plural,
    )
    return environment.get_template(_TEMPLATE)


def _context(data: ReportData) -> dict[str, Any]:
    incidents = [_incident(row, index) for index, row in enumerate(data.by_severity(), 1)]
    open_per_node: dict[str, int] = {}
    for row in data.incidents:
        open_per_node[row.node] = open_per_node.get(row.node, 0) + 1
    total = data.total_cost_usd
    views = [_feature(row, data, total, open_per_node) for row in data.by_cost()]
    return {
        "data": data,
        "headline": _headline(data),
        # A dearer success with the same spend is not over trend in dollars.
        "over_trend_usd": sum((_over_trend(row) for row in data.incidents if row.kind == "cost"), Decimal(0)),
        "high": [*(row.severity for row in data.incidents), *(row.severity for row in data.watches)].count("high"),
        "watches": [(heading, _common_cure(rows), rows) for heading, rows in group_watches(data.watches)],
        "watched": ", ".join(_count_watches(data)),
        "incidents": incidents,
        "month": _month(data.forecast) if data.forecast else None,
        "to_date_change": _to_date_change(data.forecast),
        "budgets": _budgets(data),
        "by_cost": [view for view in views if view.row.kind != "shared"],
        "shared": [view for view in views if view.row.kind == "shared"],
        "by_unit_cost": [_feature(row, data, total, open_per_node) for row in data.by_unit_cost()],
        "waste": _waste(data),
        "total": figures.usd(total),
        "total_change": _total_change(data),
        "coverage": _coverage(data),
        "is_fresh": all(source.state == "fresh" for source in data.sources),
    }


def _over_trend(row: IncidentRow) -> Decimal:
    """What it adds to an average day: two weekend days are no week."""
    daily = row.excess_usd_per_day if row.weekends_usd_per_day is None else row.weekends_usd_per_day
    return daily or Decimal(0)


def _common_cure(rows: Sequence[WatchRow]) -> str:
    """What all of them say to do, so that it is said once; empty where they differ."""
    cures = {row.cure for row in rows}
    return cures.pop() if len(cures) == 1 else ""


def _count_watches(data: ReportData) -> list[str]:
    """`4 budgets`, `1 source`."""
    words = {"budget": "budget", "freshness": "source", "coverage": "loss of coverage"}
    counts = Counter(row.kind for row in data.watches)
    plurals = {"coverage": "losses of coverage"}
    return [
        f"{count} {plurals.get(kind, words[kind] + 's') if count > 1 else words[kind]}"
        for kind in WATCHES
        if (count := counts[kind])
    ]


def _headline(data: ReportData) -> tuple[tuple[str, bool], ...]:
    """The page's first sentence, as (text, is a figure) pieces."""
    forecast = data.forecast
    if forecast is None:
        return (
            (f"{data.organization} spent ", False),
            (figures.usd(data.total_cost_usd), True),
            (f" on AI in the last {data.cost_days} days.", False),
        )
    pieces = [
        (f"{data.organization} has spent ", False),
        (figures.usd(forecast.month_to_date_usd), True),
        (f" on AI in {forecast.month:%B} so far, and is heading for ", False),
        (figures.usd(forecast.total_usd), True),
    ]
    if forecast.budget_usd is None:
        return (*pieces, (".", False))
    over = forecast.total_usd - forecast.budget_usd
    pieces.append((": ", False))
    pieces.append((f"{figures.usd(abs(over))} {'over' if over > 0 else 'under'} budget", over > 0))
    return (*pieces, (".", False))


def _to_date_change(forecast: MonthForecast | None) -> tuple[str, str] | None:
    if forecast is None:
        return None
    change = figures.change(forecast.month_to_date_usd, forecast.previous_to_date_usd)
    if change is None:
        return None
    before = forecast.month - timedelta(days=1)
    return figures.signed_percent(change), f"{before:%B}"


def _feature(row: FeatureRow, data: ReportData, total: Decimal, open_per_node: dict[str, int]) -> FeatureView:
    share = row.cost_usd / total if total > 0 and row.kind != "shared" else None
    change = figures.change(row.cost_usd, row.previous_cost_usd)
    unit_change = figures.change(row.cost_per_success_usd, row.previous_cost_per_success_usd)
    unit_cost = None
    if row.cost_per_success_usd is not None and row.daily_cost_per_success:
        unit_cost = _spark(row.daily_cost_per_success, "cost per successful task")
    return FeatureView(
        row=row,
        name=figures.title(row.feature),
        share=figures.percent(share) if row.kind != "shared" else "",
        share_percent=float(max(share or Decimal(0), Decimal(0)) * 100),
        # Tax and support come once a month: a change from 30 days to 30 days would say nothing.
        change=figures.signed_percent(change) if row.kind != "shared" else "",
        tone=_tone(change) if row.kind != "shared" else "quiet",
        cost=_spark(row.daily_cost, "cost per day"),
        unit_cost=unit_cost,
        unit_change=figures.signed_percent(unit_change),
        unit_tone=_tone(unit_change),
        success=figures.percent(row.success_rate),
        incidents=open_per_node.get(row.feature, 0),
    )


def _total_change(data: ReportData) -> tuple[str, str]:
    change = figures.change(data.total_cost_usd, data.previous_total_cost_usd)
    return figures.signed_percent(change), _tone(change)


def _tone(change: Decimal | None) -> str:
    if change is None or abs(change) < _QUIET_CHANGE:
        return "quiet"
    return "up" if change > 0 else "down"


def _spark(series: Sequence[float | None], what: str) -> Drawing:
    """The mean of each week that ends on a day: no weekly teeth. The baseline is near the data, not at 0."""
    width, height = _SPARK
    smooth = geometry.moving_mean(series, 7)[6:] or list(series)
    known = [value for value in smooth if value is not None]
    if not known:
        return Drawing(width, height, f"{what}: not known", "")
    high, low = max(known), min(known)
    # Room below, so that a few percent of noise stay a few percent of the height.
    floor = low - max(0.35 * (high - low), 0.12 * abs(high), 1e-9)
    scale = geometry.Scale(len(smooth), floor, high, width, height, padding=3)
    text = (
        f"{what}, weekly mean over {len(series)} days: "
        f"from {figures.usd(Decimal(known[0]))} to {figures.usd(Decimal(known[-1]))}"
    )
    return Drawing(
        width,
        height,
        text,
        geometry.line(smooth, scale),
        area=geometry.area(smooth, scale),
        end=None if smooth[-1] is None else (100.0, scale.y(smooth[-1]) / height * 100),
    )


def _incident(row: IncidentRow, index: int) -> IncidentView:
    is_unit = row.kind in ("unit_cost", "zero_success")
    if is_unit and row.excess_percent is not None:
        figure = figures.signed_percent(row.excess_percent / 100)
        note = "cost per successful task"
    elif row.excess_usd_per_day is not None:
        figure = f"{figures.signed_usd(row.excess_usd_per_day)} a day"
        note = "over trend" if row.excess_usd_per_day >= 0 else "under trend"
        if row.weekends_usd_per_day is not None:
            note += " on weekends"
        if row.excess_percent is not None:
            note += f", {figures.signed_percent(row.excess_percent / 100)}"
    else:
        figure, note = "", ""
    return IncidentView(
        row=row,
        name=figures.title(row.node),
        anchor=f"incident-{index}",
        figure=figure,
        figure_note=note,
        label=_LABELS.get(row.label, ""),
        chart=_incident_chart(row),
        chart_end=row.chart.start + timedelta(days=len(row.chart.actual) - 1) if row.chart else None,
    )


def _incident_chart(row: IncidentRow) -> Drawing | None:
    chart = row.chart
    if chart is None or not chart.actual:
        return None
    width, height = _INCIDENT
    scale = geometry.scale_for(
        chart.actual, chart.expected, chart.lower, chart.upper, width=width, height=height, padding=6
    )
    onset = chart.onset_index
    broken, onset_percent = "", None
    if onset is not None and 0 <= onset < len(chart.actual):
        begin = max(onset - 1, 0)
        broken = geometry.line(chart.actual[begin:], scale, first=begin)
        onset_percent = scale.x(onset) / width * 100
    known = [value for value in chart.actual if value is not None]
    expected = [value for value in chart.expected if value is not None]
    text = f"{chart.metric}, {len(chart.actual)} days from {figures.day(chart.start)}"
    if known and expected:
        text += f"; newest {figures.usd(Decimal(known[-1]))}, expected {figures.usd(Decimal(expected[-1]))}"
    return Drawing(
        width,
        height,
        text,
        geometry.line(chart.actual, scale),
        band=geometry.band(chart.lower, chart.upper, scale) if chart.lower and chart.upper else "",
        expected=geometry.line(chart.expected, scale),
        broken=broken,
        onset_percent=onset_percent,
    )


def _running_total(values: Sequence[float], start: float = 0.0) -> list[float]:
    totals, total = [], start
    for value in values:
        total += value
        totals.append(total)
    return totals


def _month(forecast: MonthForecast) -> MonthChart:
    """Month to date, then the forecast and its interval, as running totals; the budget is a line across.

    Of the interval only its end is known; between now and then it opens with the square root of
    time, as the sum of independent days does.
    """
    width, height = _MONTH
    days_in_month = calendar.monthrange(forecast.month.year, forecast.month.month)[1]
    actual = [0.0, *_running_total(forecast.actual)]
    expected = [actual[-1], *_running_total(forecast.expected, actual[-1])]
    known, ahead = len(actual) - 1, len(expected) - 1
    total, low, high = float(forecast.total_usd), float(forecast.lower_usd), float(forecast.upper_usd)
    opening = [math.sqrt(step / ahead) if ahead else 0.0 for step in range(ahead + 1)]
    lower = [mean - (total - low) * share for mean, share in zip(expected, opening, strict=True)]
    upper = [mean + (high - total) * share for mean, share in zip(expected, opening, strict=True)]
    budget = float(forecast.budget_usd) if forecast.budget_usd is not None else None
    marks = geometry.ticks(max(high, total, actual[-1], budget or 0.0))
    scale = geometry.Scale(days_in_month + 1, 0.0, marks[-1], width, height, padding=0)
    text = (
        f"Running total of {forecast.month:%B %Y}: {figures.usd(forecast.month_to_date_usd)} after {known} days, "
        f"expected {figures.usd(forecast.total_usd)} at the end, between {figures.usd(forecast.lower_usd)} and "
        f"{figures.usd(forecast.upper_usd)} with a probability of {figures.percent(forecast.level)}"
    )
    if forecast.budget_usd is not None:
        text += f"; the budget is {figures.usd(forecast.budget_usd)}"
    shown_days = [1, 8, 15, 22, days_in_month]
    return MonthChart(
        width=width,
        height=height,
        text=text,
        actual=geometry.line(actual, scale),
        actual_area=geometry.area(actual, scale),
        expected=geometry.line(expected, scale, first=known),
        band=geometry.band(lower, upper, scale, first=known),
        budget_percent=None if budget is None else scale.y(budget) / height * 100,
        today_percent=scale.x(known) / width * 100,
        y_ticks=tuple(Tick(scale.y(mark) / height * 100, _short_usd(mark)) for mark in marks),
        x_ticks=tuple(
            Tick(scale.x(day) / width * 100, f"{day} {forecast.month:%b}", is_minor=day in (8, 22))
            for day in shown_days
        ),
    )


def _short_usd(mark: float) -> str:
    return f"${mark / 1000:g}k" if mark >= 1000 else f"${mark:g}"


def _budgets(data: ReportData) -> list[BudgetView]:
    """Features with a budget, those nearest to it or over it first."""
    rows = [
        row
        for row in data.features
        if row.monthly_budget_usd and row.forecast_usd is not None and row.month_to_date_usd is not None
    ]
    views = []
    for row in sorted(rows, key=lambda row: -(row.forecast_usd or Decimal(0)) / (row.monthly_budget_usd or Decimal(1))):
        forecast, budget = row.forecast_usd or Decimal(0), row.monthly_budget_usd or Decimal(0)
        difference = figures.change(forecast, budget)
        # Rows differ by an order of magnitude: each bar is drawn against the larger of its own two ends.
        most = max(forecast, budget, Decimal("0.01")) * Decimal("1.04")
        views.append(
            BudgetView(
                name=figures.title(row.feature),
                to_date=figures.usd(row.month_to_date_usd),
                forecast=figures.usd(forecast),
                budget=figures.usd(budget),
                difference=figures.signed_percent(difference),
                is_over=forecast > budget,
                to_date_percent=float((row.month_to_date_usd or Decimal(0)) / most * 100),
                forecast_percent=float(forecast / most * 100),
                budget_percent=float(budget / most * 100),
            )
        )
    return views


def _waste(data: ReportData) -> dict[str, Any] | None:
    """What bought nothing, the largest first; None where nothing is known of it."""
    if not data.waste:
        return None
    total = sum((row.waste_usd for row in data.waste), Decimal(0))
    most = max(row.waste_usd for row in data.waste)
    shown = data.waste[:_WASTE_ROWS]
    left_usd = sum((row.waste_usd for row in data.waste[_WASTE_ROWS:]), Decimal(0))
    return {
        "total": figures.usd(total),
        "share": figures.percent(total / data.total_cost_usd) if data.total_cost_usd > 0 else None,
        "rows": [
            {
                "name": figures.title(row.feature),
                "what": _WASTE_KINDS.get(row.kind, row.kind.replace("_", " ")),
                "calls": f"{row.calls:,}" if row.calls is not None else figures.UNKNOWN,
                "cost": figures.usd(row.waste_usd),
                "percent": float(max(row.waste_usd, Decimal(0)) / most * 100),
            }
            for row in shown
        ],
        "rest": f"{figures.plural(len(data.waste) - len(shown), 'smaller line')}, {figures.usd(left_usd)} together"
        if left_usd
        else "",
    }


def _coverage(data: ReportData) -> dict[str, Any] | None:
    coverage = data.coverage
    if coverage is None:
        return None
    parts = (
        ("to a feature", coverage.allocated_usd, "allocated"),
        ("shared pools", coverage.shared_usd, "shared"),
        ("unallocated", coverage.unallocated_usd, "unallocated"),
        *([("not AI", coverage.not_ai_usd, "shared")] if coverage.not_ai_usd else []),
    )
    total = sum((amount for _, amount, _ in parts), Decimal(0))
    return {
        "waste": _waste(data),
        "total": figures.usd(total),
        "unallocated_share": figures.percent(coverage.unallocated_usd / total if total > 0 else None),
        "parts": [
            {
                "label": label,
                "tone": tone,
                "cost": figures.usd(amount),
                "share": figures.percent(amount / total if total > 0 else None),
                "percent": float(max(amount, Decimal(0)) / total * 100) if total > 0 else 0.0,
            }
            for label, amount, tone in parts
        ],
        "largest": coverage.largest_unallocated,
        "unclassified": coverage.unclassified_usd,
    }
