"""Findings of one feature into one Break: the leading metric, dollars, evidence, drivers, chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from alerts.explain import choose_label, compare_days, compare_rows, rank_drivers
from alerts.model import (
    ALL_FEATURES,
    Break,
    BreakKind,
    ChartSeries,
    Direction,
    Driver,
    Evidence,
    FeaturePanel,
    Floats,
    MemberSeries,
)
from alerts.unit_costs import UnitCosts

MOST_PERCENT = 9999.0  # from (almost) nothing: a percentage says nothing

_COST_LEADS = 2.0  # cost gives the kind unless the unit cost shows so many times its dollars
_ONSET_TOLERANCE = 3
_CENT = Decimal("0.01")
_MICRO = Decimal("0.000001")  # unit costs are often below a cent
_BEFORE_DAYS = 28
_MOST_FEATURES = 10


@dataclass(frozen=True)
class Found:
    """One metric's break of one feature. Indices are columns; arrays [T].

    `newest`: newest day that the metric is known for. `excess`: dollars by day, NaN unknown. `expected`,
    `lower`, `upper`: of the metric, in its unit, without the break. `percent`: of the metric's expected.
    `alarm`: the day on which it was first found. `days_after`: days of the metric after the last one that
    tell something: a job's days without cost do not, but for a whole week of them; None: each of them.
    """

    kind: BreakKind
    direction: int
    onset: int
    last: int
    newest: int
    score: float
    excess: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    percent: float
    alarm: int
    days_after: int | None = None

    @property
    def mean_excess(self) -> float:
        return mean_of(self.excess[self.onset : self.last + 1])

    @property
    def newest_excess(self) -> float:
        """Mean of its last seven days."""
        return mean_of(self.excess[max(self.onset, self.last - 6) : self.last + 1])

    @property
    def total_excess(self) -> float:
        return float(np.nansum(self.excess[self.onset : self.last + 1]))


def mean_of(series: Floats) -> float:
    """Mean of the known figures; 0 when there are none."""
    known = series[np.isfinite(series)]
    return float(known.mean()) if known.size else 0.0


def describe_break(
    group: Sequence[Found],
    panel: FeaturePanel,
    row: int,
    cost: Floats,
    units: UnitCosts,
    members: Sequence[MemberSeries],
    *,
    chart_days: int,
) -> Break:
    """`group`: findings of feature `row` in one direction, at least one. `cost` [T]: its cost as scored."""
    lead = max(group, key=_weigh)
    onset, last = lead.onset, lead.last
    rise = lead.mean_excess if lead.kind == "cost" else _measure_rise(cost, onset, last)
    drivers = rank_drivers(members, start=panel.start, onset=onset, last=last, excess_usd_per_day=rise)
    if lead.kind == "cost":
        first_seen = _find_newcomer(drivers, panel.start, onset, last, rise)
        if first_seen is not None:
            onset = first_seen
            drivers = rank_drivers(members, start=panel.start, onset=onset, last=last, excess_usd_per_day=rise)
    window = slice(onset, last + 1)
    spend = (mean_of(cost[window]), *_find_usual_spend(group, cost, onset, last))
    return Break(
        node=panel.features[row],
        direction=_name_direction(lead.direction),
        kind=lead.kind,
        label=choose_label(panel, row, members, onset=onset, last=last),
        onset=panel.start + timedelta(days=onset),
        last_day=panel.start + timedelta(days=last),
        is_active=last >= lead.newest,
        days_in_range=lead.days_after,
        data_through=panel.start + timedelta(days=_find_newest(cost)),
        score=round(max(found.score for found in group), 3),
        actual_usd_per_day=_cents(spend[0]),
        expected_usd_per_day=_cents(spend[1]),
        expected_lower_usd_per_day=_cents(spend[2]),
        expected_upper_usd_per_day=_cents(spend[3]),
        excess_usd_per_day=_cents(mean_of(lead.excess[window])),
        excess_usd_total=_cents(float(np.nansum(lead.excess[window]))),
        excess_percent=Decimal(f"{lead.percent:.1f}"),
        evidence=_gather_evidence(group, panel, row, cost, units, onset, last, spend),
        drivers=drivers,
        chart=_draw_chart(lead, panel, cost, units, row, chart_days),
        is_weekend_only=_is_weekend_only(lead, panel.start, onset, last),
        newest_excess_usd_per_day=_cents(mean_of(lead.excess[max(onset, last - 6) : last + 1])),
        history_days=int(np.isfinite(panel.cost_usd[row]).sum()),
    )


def _is_weekend_only(lead: Found, start: date, onset: int, last: int) -> bool:
    """Whether only Saturdays and Sundays carry the excess: those over their limit, and nine tenths of its dollars."""
    days = np.arange(onset, last + 1)
    weekend = (start.weekday() + days) % 7 >= 5
    excess = np.nan_to_num(lead.excess[days]) * lead.direction
    total = float(excess.clip(min=0).sum())
    return bool(weekend.any() and total > 0 and float(excess[weekend].clip(min=0).sum()) >= 0.9 * total)


def describe_common_cause(found: Found, total: Floats, cost: Floats, panel: FeaturePanel, *, chart_days: int) -> Break:
    """The break that many features share. `found`: in `total` [T], the sum of `cost` [n, T]. Its drivers are
    the ten features that carry most of the excess."""
    window = slice(found.onset, found.last + 1)
    before, after = compare_rows(cost, onset=found.onset, last=found.last)
    excess = np.nan_to_num(after) - np.nan_to_num(before)
    share = excess / found.mean_excess if found.mean_excess else np.zeros(len(excess))
    order = [int(row) for row in np.argsort(-share, kind="stable")[:_MOST_FEATURES] if share[row] > 0]
    first = max(0, len(total) - chart_days)
    spend = tuple(mean_of(series[window]) for series in (total, found.expected, found.lower, found.upper))
    actual, expected, lower, upper = (_cents(figure) for figure in spend)
    return Break(
        node=ALL_FEATURES,
        direction=_name_direction(found.direction),
        kind="cost",
        label="unknown",
        onset=panel.start + timedelta(days=found.onset),
        last_day=panel.start + timedelta(days=found.last),
        is_active=found.last >= found.newest,
        data_through=panel.start + timedelta(days=_find_newest(total)),
        score=round(found.score, 3),
        actual_usd_per_day=actual,
        expected_usd_per_day=expected,
        expected_lower_usd_per_day=lower,
        expected_upper_usd_per_day=upper,
        excess_usd_per_day=_cents(found.mean_excess),
        excess_usd_total=_cents(found.total_excess),
        excess_percent=Decimal(f"{found.percent:.1f}"),
        evidence=(Evidence("cost", "usd_per_day", actual, expected, lower, upper),),
        drivers=tuple(Driver("feature", panel.features[row], _cents(float(excess[row]))) for row in order),
        chart=ChartSeries(
            start=panel.start + timedelta(days=first),
            metric="cost per day",
            unit="usd_per_day",
            actual=total[first:].copy(),
            expected=found.expected[first:].copy(),
            lower=found.lower[first:].copy(),
            upper=found.upper[first:].copy(),
        ),
        newest_excess_usd_per_day=_cents(found.newest_excess),
        history_days=int(np.isfinite(total).sum()),
    )


def _find_newest(series: Floats) -> int:
    """The newest known day: features' own sources settle at their own pace."""
    return int(np.flatnonzero(np.isfinite(series))[-1])


def _name_direction(sign: int) -> Direction:
    return "up" if sign > 0 else "down"


def _weigh(found: Found) -> tuple[bool, float]:
    return found.kind == "zero_success", abs(found.mean_excess) * (_COST_LEADS if found.kind == "cost" else 1.0)


def _measure_rise(cost: Floats, onset: int, last: int) -> float:
    change = compare_days(cost, onset=onset, last=last)
    return change.after - (change.before if np.isfinite(change.before) else 0.0)


def _find_newcomer(drivers: Sequence[Driver], start: date, onset: int, last: int, rise: float) -> int | None:
    """First day of the member that carries half of the excess, when it began to cost about at the onset."""
    for driver in drivers:
        if driver.first_seen is None or driver.members > 1 or float(driver.excess_usd_per_day) < 0.5 * rise:
            continue
        seen = (driver.first_seen - start).days
        if 1 <= seen <= last and abs(seen - onset) <= _ONSET_TOLERANCE:
            return seen
    return None


def _find_usual_spend(group: Sequence[Found], cost: Floats, onset: int, last: int) -> tuple[float, float, float]:
    """Expected cost a day over the break, and the range of single days."""
    window = slice(onset, last + 1)
    by_cost = next((found for found in group if found.kind == "cost"), None)
    if by_cost is not None:
        return mean_of(by_cost.expected[window]), mean_of(by_cost.lower[window]), mean_of(by_cost.upper[window])
    change = compare_days(cost, onset=onset, last=last)
    usual = change.before if np.isfinite(change.before) else change.after
    past = cost[max(0, onset - _BEFORE_DAYS) : onset]
    if past.size < 14 or not np.isfinite(past).all():
        return usual, usual, usual
    # The range from the same four weeks: distances from the mean of the same weekday (4 figures: 3 are free).
    of_weekday = np.array([past[k::7].mean() for k in range(7)])
    distance = past - of_weekday[np.arange(past.size) % 7]
    reach = 1.96 * float(np.sqrt(np.mean(distance**2) * 4 / 3))
    return usual, max(usual - reach, 0.0), usual + reach


def _gather_evidence(
    group: Sequence[Found],
    panel: FeaturePanel,
    row: int,
    cost: Floats,
    units: UnitCosts,
    onset: int,
    last: int,
    spend: tuple[float, float, float, float],
) -> tuple[Evidence, ...]:
    """The metrics that testify, spend first; what is unknown or has not settled is left out."""
    actual, usual, low, high = (_cents(figure) for figure in spend)
    rows = [Evidence("cost", "usd_per_day", actual, usual, low, high)]
    unit = _measure_unit(group, units, row, onset, last)
    if unit is not None:
        rows.append(unit)
    for metric, series, name in (
        ("tasks", panel.tasks, "tasks"),
        ("successful_tasks", panel.successful_tasks, "tasks"),
        ("tasks_with_outcome", panel.tasks_with_outcome, "tasks"),
        ("calls", panel.calls, "calls"),
        ("retries", panel.retries, "calls"),
        ("failed_calls", panel.failed_calls, "calls"),
    ):
        change = compare_days(series[row], onset=onset, last=last)
        if np.isfinite(change.before) and np.isfinite(change.after):
            rows.append(Evidence(metric, name, _cents(change.after), _cents(change.before)))
    return tuple(rows)


def _measure_unit(group: Sequence[Found], units: UnitCosts, row: int, onset: int, last: int) -> Evidence | None:
    """Cost per unit over the break, on days that have both, against what was expected."""
    name = units.units[row]
    if not name:
        return None
    done = units.done[row]
    paid = np.where(np.isfinite(done), units.serving_usd[row], np.nan)
    money, work = compare_days(paid, onset=onset, last=last), compare_days(done, onset=onset, last=last)
    if not (work.after > 0 and work.before > 0 and money.before > 0):
        return None
    window = slice(onset, last + 1)
    expected, lower, upper = money.before / work.before, None, None
    fitted = next((found for found in group if found.kind == "unit_cost"), None)
    if fitted is not None:
        expected = mean_of(fitted.expected[window])
        lower, upper = _micros(mean_of(fitted.lower[window])), _micros(mean_of(fitted.upper[window]))
    metric = "cost per " + name.replace("_", " ")
    return Evidence(metric, f"usd_per_{name}", _micros(money.after / work.after), _micros(expected), lower, upper)


def _draw_chart(
    lead: Found, panel: FeaturePanel, cost: Floats, units: UnitCosts, row: int, chart_days: int
) -> ChartSeries:
    """The last days of the leading metric. Before the window that was fitted the expectation is NaN."""
    if lead.kind == "zero_success":
        return _draw_failures(lead, panel, units.serving_usd[row], row, chart_days)
    is_unit = lead.kind == "unit_cost"
    series = units.usd[row] if is_unit else cost
    known = np.flatnonzero(np.isfinite(series))
    first = max(0, len(cost) - chart_days, int(known[0]) if known.size else 0)
    name = units.units[row]
    return ChartSeries(
        start=panel.start + timedelta(days=first),
        metric="cost per " + (name.replace("_", " ") if is_unit else "day"),
        unit=f"usd_per_{name}" if is_unit else "usd_per_day",
        actual=series[first:].copy(),
        expected=lead.expected[first:].copy(),
        lower=lead.lower[first:].copy(),
        upper=lead.upper[first:].copy(),
    )


def _draw_failures(lead: Found, panel: FeaturePanel, paid: Floats, row: int, chart_days: int) -> ChartSeries:
    """What was paid for tasks that did not succeed, as there is no cost per success without one; its range is that of
    the four weeks before."""
    told, good = panel.tasks_with_outcome[row], panel.successful_tasks[row]
    known = np.nan_to_num(told) > 0
    failed = np.where(known, paid * (1.0 - good / np.where(known, told, 1.0)), np.nan)
    past = failed[max(0, lead.onset - _BEFORE_DAYS) : lead.onset]
    usual = mean_of(past)
    reach = 1.96 * float(np.sqrt(mean_of((past - usual) ** 2)))
    first = max(0, len(failed) - chart_days)
    flat = np.full(len(failed) - first, usual)
    return ChartSeries(
        start=panel.start + timedelta(days=first),
        metric="cost of failed tasks per day",
        unit="usd_without_success_per_day",
        actual=failed[first:],
        expected=flat,
        lower=np.maximum(flat - reach, 0.0),
        upper=flat + reach,
    )


def _cents(figure: float) -> Decimal:
    return Decimal(repr(float(figure))).quantize(_CENT, ROUND_HALF_UP)


def _micros(figure: float) -> Decimal:
    return Decimal(repr(float(figure))).quantize(_MICRO, ROUND_HALF_UP)
