"""Engines that explain: statsmodels ETS and UnobservedComponents, one series at a time, some 100 ms each.

statsmodels and pandas are imported when an engine runs, not before: the daily run does not need them unless a
backtest chose one of these engines for a series.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from alerts.forecast.panel import EngineUnfit, Floats, PlannedEvent, RowForecast, is_month_end

WEEK: Final = 7
MIN_DAYS: Final = 21  # three weeks: what a weekly season and a trend can be told apart from
MAX_DAYS: Final = 400
MONTH_END: Final = "month end"
MONTH_END_MIN_DAYS: Final = 75  # two month ends, whatever the start


@dataclass(frozen=True)
class Components:
    """What a series is made of, day by day, in its own units: `level[T]`, `trend[T]` (per day), `week[T]`, and each
    regressor's part (planned events by name, "month end"). `effects`: name -> (size of the effect on a day it acts
    on, its standard error). level + week + Σ regressors + irregular = actual."""

    start: date
    level: Floats
    trend: Floats
    week: Floats
    regressors: Mapping[str, Floats]
    effects: Mapping[str, tuple[float, float]]


def ets(values: Floats, horizon: int, levels: Sequence[float]) -> RowForecast:
    """ETS(A, Ad, A) with a weekly season. `values[T]`: from the first known day on; gaps are interpolated."""
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    values = _fit_for_fitting(values)
    # a Series, not an array: statsmodels' get_prediction fails on arrays
    series = pd.Series(fill_gaps(values), index=pd.RangeIndex(len(values)))
    model = ETSModel(series, error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=WEEK)
    fitted = _quietly(lambda: model.fit(disp=False))
    prediction = _quietly(lambda: fitted.get_prediction(start=len(values), end=len(values) + horizon - 1))
    lower: dict[float, Floats] = {}
    upper: dict[float, Floats] = {}
    for level in levels:
        interval = np.asarray(prediction.pred_int(alpha=1 - level), dtype=np.float64)
        lower[level], upper[level] = interval[:, 0], interval[:, 1]
    return _finite(RowForecast(np.asarray(prediction.predicted_mean, dtype=np.float64)[-horizon:], lower, upper))


def unobserved_components(
    values: Floats, start: date, horizon: int, levels: Sequence[float], events: Sequence[PlannedEvent]
) -> RowForecast:
    """Level, trend, week, month end and planned events. `values[T]`: from the first known day `start` on; NaN = gap."""
    values, start, names, past, future = _prepare(values, start, horizon, events)
    fitted, size = _fit_components(values, past)
    forecast = _quietly(lambda: fitted.get_forecast(horizon, exog=future if names else None))
    lower: dict[float, Floats] = {}
    upper: dict[float, Floats] = {}
    for level in levels:
        interval = np.asarray(forecast.conf_int(alpha=1 - level), dtype=np.float64) * size
        lower[level], upper[level] = interval[:, 0], interval[:, 1]
    mean = np.asarray(forecast.predicted_mean, dtype=np.float64) * size
    return _finite(RowForecast(mean, lower, upper, frozenset(names) - {MONTH_END}))


def explain_series(values: Floats, *, start: date, events: Sequence[PlannedEvent] = ()) -> Components:
    """Take one series apart, values[T] from the day `start` on (NaN = unknown). Smoothed: each day's part is judged
    by the days before and after it. Raises EngineUnfit for fewer than `MIN_DAYS` days or a constant series."""
    first = int(np.argmax(np.isfinite(values))) if np.isfinite(values).any() else 0
    values, begin, names, past, _ = _prepare(values[first:], start + timedelta(days=first), 1, events)
    fitted, size = _fit_components(values, past)
    parameters = np.asarray(fitted.params, dtype=np.float64)[-len(names) :] * size if names else np.empty(0)
    errors = np.asarray(fitted.bse, dtype=np.float64)[-len(names) :] * size if names else np.empty(0)
    return Components(
        start=begin,
        level=np.asarray(fitted.level.smoothed, dtype=np.float64) * size,
        trend=np.asarray(fitted.trend.smoothed, dtype=np.float64) * size,
        week=np.asarray(fitted.seasonal.smoothed, dtype=np.float64) * size,
        regressors={name: past[:, k] * parameters[k] for k, name in enumerate(names)},
        effects={name: (float(parameters[k]), float(errors[k])) for k, name in enumerate(names)},
    )


def fill_gaps(values: Floats) -> Floats:
    """Unknown days from the same weekday before (or after) them; what no weekday knows, from the mean."""
    known = np.isfinite(values)
    if known.all():
        return values
    filled = values.copy()
    mean = float(values[known].mean()) if known.any() else 0.0
    for weekday in range(WEEK):
        days = np.arange(weekday, len(values), WEEK)
        seen = days[known[days]]
        filled[days] = np.interp(days, seen, values[seen]) if seen.size else mean
        filled[seen] = values[seen]
    return filled


def _prepare(
    values: Floats, start: date, horizon: int, events: Sequence[PlannedEvent]
) -> tuple[Floats, date, list[str], Floats, Floats]:
    cut = max(len(values) - MAX_DAYS, 0)
    values, start = _fit_for_fitting(values[cut:]), start + timedelta(days=cut)
    days = [start + timedelta(days=k) for k in range(len(values) + horizon)]
    columns: dict[str, Floats] = {}
    if len(values) >= MONTH_END_MIN_DAYS:
        columns[MONTH_END] = np.array([is_month_end(day) for day in days], dtype=np.float64)
    for name in dict.fromkeys(event.name for event in events):
        same = [event for event in events if event.name == name]
        columns[name] = np.array([any(event.covers(day) for event in same) for day in days], dtype=np.float64)
    known = np.isfinite(values)
    # a regressor that was always on, or never on a known day, has no effect that could be told from the level
    names = [name for name, column in columns.items() if 0 < column[: len(values)][known].sum() < known.sum()]
    design = np.stack([columns[name] for name in names], axis=1) if names else np.empty((len(days), 0))
    return values, start, names, design[: len(values)], design[len(values) :]


def _fit_components(values: Floats, regressors: Floats) -> tuple[Any, float]:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    size = float(np.nanmean(np.abs(values)))
    model = UnobservedComponents(
        values / size,
        level="local linear trend",
        seasonal=WEEK,
        exog=regressors if regressors.shape[1] else None,
    )
    return _quietly(lambda: model.fit(disp=False, maxiter=200)), size


def _fit_for_fitting(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    if len(known) < MIN_DAYS:
        raise EngineUnfit(f"needs {MIN_DAYS} known days, has {len(known)}")
    if np.ptp(known) == 0:
        raise EngineUnfit("the series is constant")
    return values[-MAX_DAYS:]


def _quietly(work: Any) -> Any:
    """Run a fit whose warnings (convergence, start values) say nothing a user could act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return work()
        except (ValueError, np.linalg.LinAlgError) as error:
            raise EngineUnfit(str(error)) from error


def _finite(forecast: RowForecast) -> RowForecast:
    bounds = [*forecast.lower.values(), *forecast.upper.values()]
    if not all(np.isfinite(part).all() for part in (forecast.mean, *bounds)):
        raise EngineUnfit("the fit did not converge")
    return forecast
