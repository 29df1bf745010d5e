"""Engines to be measured against: the seasonal naive forecast and the Theta method."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

from alerts.forecast.panel import Floats, RowForecast

WEEK: Final = 7
_GAINS: Final = np.linspace(0.02, 0.98, 49)


def seasonal_naive(values: Floats, horizon: int, levels: Sequence[float]) -> RowForecast:
    """Last week again; normal intervals from the week-on-week differences, growing with the square root of the weeks.

    `values[T]`: one series from its first known day on, without gaps.
    """
    leads = np.arange(horizon)
    recent = values[-WEEK:]
    mean = recent[leads % len(recent)]
    differences = values[WEEK:] - values[:-WEEK] if len(values) > WEEK else np.diff(values)
    sigma = float(np.sqrt(np.mean(differences**2))) if differences.size else float(np.abs(values).mean())
    return _normal(mean, sigma * np.sqrt(leads // WEEK + 1.0), levels)


def theta(values: Floats, horizon: int, levels: Sequence[float]) -> RowForecast:
    """Assimakopoulos and Nikolopoulos (2000) in the form of Hyndman and Billah (2003): simple exponential smoothing
    plus half the slope of the linear trend, on the deseasonalised series (additive weekday means of the detrended
    series; the original deseasonalises by ratio, which credits and zeros forbid)."""
    days = np.arange(len(values))
    if len(values) < 2 * WEEK:
        season = np.zeros(WEEK)
    else:
        detrended = values - np.convolve(np.pad(values, 3, mode="reflect"), np.ones(WEEK) / WEEK, mode="valid")
        season = np.array([detrended[days % WEEK == k].mean() for k in range(WEEK)])
        season -= season.mean()
    rest = values - season[days % WEEK]
    slope = float(np.polyfit(days, rest, 1)[0]) if len(values) > 2 else 0.0
    level = np.full(len(_GAINS), rest[0])
    squares = np.zeros(len(_GAINS))
    for value in rest[1:]:
        error = value - level
        squares += error**2
        level += _GAINS * error
    best = int(np.argmin(squares))
    gain = float(_GAINS[best])
    sigma = float(np.sqrt(squares[best] / max(len(rest) - 1, 1)))
    leads = np.arange(horizon)
    drift = 0.5 * slope * (leads + (1.0 - (1.0 - gain) ** len(values)) / gain)
    mean = level[best] + drift + season[(len(values) + leads) % WEEK]
    return _normal(mean, sigma * np.sqrt(1.0 + leads * gain**2), levels)


def _normal(mean: Floats, sigma: Floats, levels: Sequence[float]) -> RowForecast:
    width = {level: NormalDist().inv_cdf((1 + level) / 2) * sigma for level in levels}
    return RowForecast(
        mean=mean,
        lower={level: mean - width[level] for level in levels},
        upper={level: mean + width[level] for level in levels},
    )
