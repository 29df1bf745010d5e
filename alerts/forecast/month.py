"""The month's end and the budget: totals with intervals of their own.

A total's interval is not the sum of the daily bounds (that would assume that all days err the same way) nor the root
of the sum of their squares (that they err independently). It comes from the ensemble's rolling-origin errors *of the
sum* over the same leads, each in units of the sum of its days' scales, pooled over the panel as for single days. The
total over all series has errors of its own, of the bottom-up total, so that what the series have in common is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.forecast.engines import NONE, OFF, forget_pauses, typical_size, was_never_negative
from alerts.forecast.ensemble import Singles
from alerts.forecast.intervals import DEFAULT_QUANTILES, DEFAULT_TAILS, measure, pooled_quantiles, young_factor
from alerts.forecast.panel import Floats, PanelForecast

OUTCOMES: Final = 200  # equally likely totals that stand for the distribution: enough for a 99% interval
WEEK: Final = 7
# Windows of the sum's length that weigh as much as sums over a week, in how far the series err together
TOTAL_PRIOR_WINDOWS: Final = 4.0
FEW_WINDOWS_INFLATION: Final = 0.6  # of the bounds, by the sum's length relative to the origins seen
# How the error of a sum of K days grows where nothing is known: between K^1/2 (independent) and K (all alike)
DEFAULT_SUM_POWER: Final = 0.75
DEFAULT_WINDOWS: Final = 40.0  # thinned windows that weigh as much as that default


@dataclass(frozen=True)
class MonthEnd:
    """What a calendar month will have cost, per series [n] and in total, in the units of the history.

    `actual`: the days that are known, up to `through` (the last day of the history); `mean` = actual + forecast of
    the `remaining_days`. `total_mean` is the sum of `mean`: features and total are coherent. `outcomes[n, S]` and
    `total_outcomes[S]`: equally likely totals, ascending. `unknown_days[n]`: days of the month so far that are
    unknown though the series existed; they count at the series' mean of the last 28 known days.
    """

    month: date
    through: date
    remaining_days: int
    actual: Floats
    mean: Floats
    lower: Mapping[float, Floats]
    upper: Mapping[float, Floats]
    total_actual: float
    total_mean: float
    total_lower: Mapping[float, float]
    total_upper: Mapping[float, float]
    unknown_days: NDArray[np.int64]
    outcomes: Floats = field(compare=False, repr=False)
    total_outcomes: Floats = field(compare=False, repr=False)


@dataclass(frozen=True)
class BudgetOutlook:
    """How one series stands against its monthly budget.

    `breach_probability`: that the month's total exceeds the budget, 0 to 1. `expected_breach_date`: the day on which
    spending so far plus the mean forecast passes it, `earliest_breach_date`: the same on the upper 80% path; None if
    not within the month. `pace`: spent so far relative to the budget's even spread over the days so far (1 = on
    plan), None before the month's first known day.
    """

    budget: float
    spent: float
    expected_total: float
    breach_probability: float
    expected_breach_date: date | None
    earliest_breach_date: date | None
    pace: float | None


def month_end(
    y: Floats, forecast: PanelForecast, *, month: date | None = None, levels: Sequence[float] = (0.8, 0.95)
) -> MonthEnd:
    """Total of a calendar month: `month` is any day in it, by default the month of the forecast's first day.

    `y[n, T]`: the history that `forecast` was made from; its last day is the day before `forecast.start`. Rows
    without any known day count as nothing in the total and are NaN themselves. Raises ValueError if the panel is
    another one, or the forecast ends before the month does.
    """
    first = (month or forecast.start).replace(day=1)
    end = (first + timedelta(days=32)).replace(day=1)
    return period_total(y, forecast, first=first, last=end - timedelta(days=1), levels=levels)


def period_total(
    y: Floats, forecast: PanelForecast, *, first: date, last: date, levels: Sequence[float] = (0.8, 0.95)
) -> MonthEnd:
    """The same for any period from `first` to `last`, both included; `month` of the result is `first`."""
    y = np.asarray(y, dtype=np.float64)
    n, horizon = forecast.mean.shape
    if y.ndim != 2 or len(y) != n:
        raise ValueError(f"the forecast is of {n} series, the history has shape {y.shape}")
    end = last + timedelta(days=1)
    begin = max((first - forecast.start).days, 0)  # leads begin … stop - 1, counted from 0
    stop = max((end - forecast.start).days, 0)
    if stop > horizon:
        raise ValueError(
            f"the forecast ends on {forecast.start + timedelta(days=horizon - 1)}, before {last} does: "
            f"forecast {stop} days or more"
        )
    days_so_far = (forecast.start - first).days
    actual, unknown = _so_far(y, days_so_far, int((end - first).days) - stop + begin if days_so_far > 0 else 0)
    ahead = forecast.mean[:, begin:stop]
    mean = actual + ahead.sum(axis=1)
    outcomes, total_outcomes = _outcomes(y, forecast, begin, stop, mean, actual)
    lower: dict[float, Floats] = {}
    upper: dict[float, Floats] = {}
    total_lower: dict[float, float] = {}
    total_upper: dict[float, float] = {}
    for level in levels:
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        low, high = np.quantile(outcomes, tails, axis=1, method="hazen")
        lower[level], upper[level] = np.minimum(low, mean), np.maximum(high, mean)
        low_total, high_total = np.quantile(total_outcomes, tails, method="hazen")
        total_mean = float(np.nansum(mean))
        total_lower[level], total_upper[level] = min(float(low_total), total_mean), max(float(high_total), total_mean)
    return MonthEnd(
        month=first,
        through=forecast.start - timedelta(days=1),
        remaining_days=stop - begin,
        actual=actual,
        mean=mean,
        lower=lower,
        upper=upper,
        total_actual=float(np.nansum(actual)),
        total_mean=float(np.nansum(mean)),
        total_lower=total_lower,
        total_upper=total_upper,
        unknown_days=unknown,
        outcomes=outcomes,
        total_outcomes=total_outcomes,
    )


def budget_outlook(
    y: Floats, forecast: PanelForecast, budgets: Sequence[float | None], *, month: date | None = None
) -> list[BudgetOutlook | None]:
    """Each series against its monthly budget (None = it has none), for the month that `month` is in, by default the
    month of the forecast's first day. Errors as in `month_end`; also a ValueError for a budget that is not positive."""
    result = month_end(y, forecast, month=month, levels=(0.8,))
    n = len(result.mean)
    if len(budgets) != n:
        raise ValueError(f"{len(budgets)} budgets for {n} series")
    y = np.asarray(y, dtype=np.float64)
    days_in_month = ((result.month + timedelta(days=32)).replace(day=1) - result.month).days
    begin = max((result.month - forecast.start).days, 0)
    so_far = min(max((forecast.start - result.month).days, 0), days_in_month)
    outlook: list[BudgetOutlook | None] = []
    for row, budget in enumerate(budgets):
        if budget is None or not np.isfinite(result.mean[row]):
            outlook.append(None)
            continue
        if not budget > 0:
            raise ValueError(f"a monthly budget must be above 0, got {budget} for series {row}")
        spent = float(result.actual[row])
        past = np.nan_to_num(_month_days(y[row], (forecast.start - result.month).days, so_far))
        future = forecast.mean[row, begin : begin + result.remaining_days]
        rest = float(future.sum())
        high = future * (float(result.upper[0.8][row]) - spent) / rest if rest > 0 else future
        expected = _first_over(np.concatenate([past, future]), budget, result.month)
        earliest = _first_over(np.concatenate([past, high]), budget, result.month)
        outlook.append(
            BudgetOutlook(
                budget=float(budget),
                spent=spent,
                expected_total=float(result.mean[row]),
                breach_probability=_share_over(result.outcomes[row], float(budget)),
                expected_breach_date=expected,
                earliest_breach_date=earliest,
                pace=spent / (budget * so_far / days_in_month) if so_far else None,
            )
        )
    return outlook


def _month_days(values: Floats, days_since_first: int, count: int) -> Floats:
    """The `count` days of one row from the month's first day on; days before the history are NaN."""
    begin = values.shape[-1] - days_since_first
    missing = max(-begin, 0)
    part = values[max(begin, 0) : max(begin + count, 0)]
    return np.concatenate([np.full(min(missing, count), np.nan), part])


def _so_far(y: Floats, days_since_first: int, count: int) -> tuple[Floats, NDArray[np.int64]]:
    """Sum of the known days of the month, [n], NaN for a row that knows nothing, and how many were unknown though the
    series existed (each counted at the mean of the row's last 28 known days)."""
    n = len(y)
    total = np.zeros(n)
    unknown = np.zeros(n, dtype=np.int64)
    for row in range(n):
        known = y[row][np.isfinite(y[row])]
        if not known.size:
            total[row] = np.nan
            continue
        if count <= 0:
            continue
        days = _month_days(y[row], days_since_first, count)
        first = int(np.argmax(np.isfinite(y[row]))) - (y.shape[1] - days_since_first)
        missing = ~np.isfinite(days)
        missing[: max(first, 0)] = False
        unknown[row] = int(missing.sum())
        total[row] = float(np.nansum(days)) + unknown[row] * float(known[-28:].mean())
    return total, unknown


def _outcomes(
    y: Floats, forecast: PanelForecast, begin: int, stop: int, mean: Floats, actual: Floats
) -> tuple[Floats, Floats]:
    """Equally likely totals per series [n, S] and in all [S]."""
    if stop <= begin:
        exact = np.tile(mean[:, None], (1, OUTCOMES))
        return exact, np.full(OUTCOMES, float(np.nansum(mean)))
    y = forget_pauses(y)
    observed = np.isfinite(y).sum(axis=1)
    size = typical_size(y)
    leads = np.arange(begin, stop) + 1
    spread = measure(forecast.rolled, y, size)
    days = spread.ahead(leads)  # [n, O + 1, K]
    today = (days[:, -1] * forecast.stretch[:, begin:stop]).sum(axis=1) * young_factor(observed)
    still = np.array([model in (OFF, NONE) for model in forecast.model], dtype=np.bool_)
    today[still] = 0.0
    errors = forecast.rolled.errors[:, :, begin:stop]
    errors = np.where(still[:, None, None], np.nan, errors)
    length = len(leads)
    standard = errors.sum(axis=2) / days.sum(axis=2)[:, :-1]  # NaN unless all days are known
    tails = (np.arange(OUTCOMES) + 0.5) / OUTCOMES
    default = np.interp(tails, DEFAULT_TAILS, DEFAULT_QUANTILES) * length ** (DEFAULT_SUM_POWER - 1.0)
    # overlapping windows are not so many facts: thin them to about four per length of the sum
    thinned = standard[:, ::-1][:, :: max(length // 4, 1)]
    quantiles = pooled_quantiles(thinned, tails, spread.scale[:, -1] / size, default, default_rows=DEFAULT_WINDOWS)
    # few windows of that length have been seen, and all series have seen the same ones
    known_origins = np.isfinite(standard).any(axis=0).sum()
    quantiles = quantiles * (1.0 + FEW_WINDOWS_INFLATION * length / max(int(known_origins), length))
    outcomes = np.sort(mean[:, None] + quantiles * today[:, None], axis=1)
    never_negative = was_never_negative(y)
    outcomes = np.maximum(outcomes, np.where(never_negative, actual, -np.inf)[:, None])

    live = today > 0
    alone = np.average(quantiles[live], axis=0, weights=today[live]) if live.any() else np.zeros(OUTCOMES)
    width = float(np.sqrt((today**2).sum())) * _togetherness(errors[live], days[live, :-1])
    total_outcomes = np.sort(float(np.nansum(mean)) + alone * width)
    if never_negative.all():
        total_outcomes = np.maximum(total_outcomes, float(np.nansum(actual)))
    return outcomes, total_outcomes


def _togetherness(errors: Singles, units: Singles) -> float:
    """How much larger the errors of the bottom-up total are than if the series erred independently: 1 for independent
    series, up to the root of their number for series that move as one.

    `errors`, `units`: [n, O, K]. Taken from sums over a week, of which many have been seen, and from sums over all K
    days, by how many of those there are. Never below 1: that errors cancel out again cannot be relied on.
    """
    length = errors.shape[2]
    whole, windows = _excess(errors.sum(axis=2), units.sum(axis=2))
    week, _ = _excess(errors[:, :, :WEEK].sum(axis=2), units[:, :, :WEEK].sum(axis=2))
    weight = windows / (windows + TOTAL_PRIOR_WINDOWS * length)
    return max(1.0, float(np.exp(weight * np.log(whole) + (1 - weight) * np.log(week))))


def _excess(errors: Singles, units: Singles) -> tuple[float, int]:
    """Mean absolute error of the sum over the series [n, O], relative to what independence would make it, and the
    number of origins behind it. An origin counts if it knows more than half of the panel, by size."""
    known = np.isfinite(errors) & np.isfinite(units)
    errors, units = np.where(known, errors, 0.0), np.where(known, units, 0.0)
    spoken_for = units.sum(axis=0)
    usable = (spoken_for > 0) & (spoken_for > 0.5 * spoken_for.max(initial=0.0))
    if not usable.any():
        return 1.0, 0
    standard = np.abs(errors) / np.where(units > 0, units, 1.0)
    each = (standard * known)[:, usable].sum() / known[:, usable].sum()
    together = (np.abs(errors.sum(axis=0)) / np.sqrt((units**2).sum(axis=0).clip(np.finfo(units.dtype).tiny)))[
        usable
    ].mean()
    ratio = float(together / each) if each > 0 else 1.0
    return max(ratio, 1e-3), int(usable.sum())


def _share_over(outcomes: Floats, budget: float) -> float:
    """Share of equally likely outcomes above the budget, interpolated between neighbours; an outcome is never called
    certain while days remain, unless it has happened."""
    if outcomes[0] == outcomes[-1]:
        return float(outcomes[0] > budget)
    positions = (np.arange(len(outcomes)) + 0.5) / len(outcomes)
    return float(1.0 - np.interp(budget, outcomes, positions, left=0.0, right=1.0))


def _first_over(days: Floats, budget: float, first: date) -> date | None:
    over = np.flatnonzero(np.cumsum(days) > budget)
    return first + timedelta(days=int(over[0])) if over.size else None
