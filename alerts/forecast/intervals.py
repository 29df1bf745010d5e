"""Prediction intervals from rolling-origin errors: conformal, with the uncertainty of the scale inside.

An error of series i from origin o at lead k is brought to a common unit by what was known at the origin:

    u = error / (scale_i(o) * k^growth_i * weekday_i(target day) * (forecast / typical forecast)^0.3)

where scale_i(o) is an exponentially weighted mean of the absolute errors seen up to the day o, and no later. The
quantiles of u over the panel therefore hold for a scale that is itself estimated, as today's is: they do not have to
be inflated for it (quantiles of errors over a scale taken from the same errors cover too little; so do a series' own
quantiles, its 150 origins being far fewer than 150 independent errors). Half of each quantile comes from the whole
panel, half from the third of it with a similar relative error. Bounds for tomorrow are quantile times today's scale.

Prequential scoring of forecasts: Dawid (1984); conformal prediction for series: Stankeviciute et al. (2021).
Designs compared: benchmarks/forecast/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.forecast.ensemble import WEEK, RollingForecast

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]

SCALE_HALF_LIFE: Final = 42.0  # days
DAY_CAP: Final = 4.0  # one day's error moves the scale as if it were at most this many scales
SCALE_WARM_UP: Final = 28  # days of errors before a scale standardises others
WEEKDAY_PRIOR_DAYS: Final = 20.0
LEVEL_POWER: Final = 0.3
MAX_GROWTH: Final = 0.6
OWN_GROWTH_SHARE: Final = 0.5
NEIGHBOUR_GROUPS: Final = 3
SERIES_PER_GROUP: Final = 10
POOL_ROWS: Final = 200_000
SCORED_LEADS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 21, 28, 35, 42, 56, 70, 84)
TAIL_INFLATION: Final = 0.08  # at the 95% level; in proportion to how far out the level lies, none at 80%
RELATIVE_FLOOR: Final = 0.002  # of the typical forecast: no interval is narrower than that

# A series too young to speak for itself: mean absolute error relative to its level, the median of the panel's
# grown-up series or, without any, this
YOUNG_RELATIVE_ERROR: Final = 0.2
PRIOR_ERROR_DAYS: Final = 10.0
WEEKLY_DIFFERENCE_SHARE: Final = 0.85  # of the mean week-on-week difference is the ensemble's mean error, commonly
PRIOR_PAIRS: Final = 7.0
YOUNG_INFLATION_DAYS: Final = 6.0
# Quantiles of standardised errors where a panel has too few of its own: heavier than Student's t with 4 degrees of
# freedom, near what the three development sets of the benchmark show
DEFAULT_TAILS: Final = np.array([0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.995])
DEFAULT_QUANTILES: Final = np.array([-6.0, -3.1, -2.25, -1.5, -0.7, 0.0, 0.7, 1.5, 2.25, 3.1, 6.0])
DEFAULT_ROWS: Final = 3000.0  # standardised errors that weigh as much as the default quantiles


@dataclass(frozen=True)
class Spread:
    """How large errors are, as known at each origin; origin O is today.

    `scale[n, O + 1]`: mean absolute error at lead 1, NaN at past origins with too few errors behind it (never NaN
    today). `growth[n]`, `weekday[n, 7]` (of the day's count from the first origin), `height[n, O + 1, h]`: how it
    changes with the lead, the weekday and the forecast.
    """

    scale: Floats
    growth: Floats
    weekday: Floats
    height: Singles

    def ahead(self, leads: Indices) -> Singles:
        """Size of an error from each origin at each of the leads, [n, O + 1, leads]."""
        origins = np.arange(self.scale.shape[1])
        size = _at(self.height, leads)
        size = size * self.weekday.astype(np.float32)[:, (origins[:, None] + leads[None, :]) % WEEK]
        size *= (leads[None, :] ** self.growth[:, None]).astype(np.float32)[:, None, :]
        size *= self.scale[:, :, None]
        return size


def bounds(
    rolled: RollingForecast,
    spread: Spread,
    levels: Sequence[float],
    size: Floats,
    observed: Indices,
    stopped: NDArray[np.bool_],
) -> tuple[dict[float, Floats], dict[float, Floats]]:
    """Offsets of the lower and upper bounds from the mean, level -> [n, h].

    `size[n]`: typical absolute value of a day of each series; `observed[n]`: number of known days;
    `stopped[n]`: series whose errors say nothing about the others' (they ended).
    """
    n, _, horizon = rolled.errors.shape
    scored = scored_leads(horizon)
    standard = _at(rolled.errors, scored) / spread.ahead(scored)[:, :-1]
    standard[stopped] = np.nan
    tails = np.array([tail for wanted in levels for tail in ((1 - wanted) / 2, (1 + wanted) / 2)])
    quantiles = pooled_quantiles(
        standard.reshape(n, standard.shape[1] * standard.shape[2]),
        tails,
        spread.scale[:, -1] / size,
        np.interp(tails, DEFAULT_TAILS, DEFAULT_QUANTILES),
    )
    width = spread.ahead(np.arange(1, horizon + 1))[:, -1] * young_factor(observed)[:, None]
    lower: dict[float, Floats] = {}
    upper: dict[float, Floats] = {}
    for k, wanted in enumerate(levels):
        inflation = 1.0 + TAIL_INFLATION * max(wanted - 0.8, 0.0) / 0.15
        lower[wanted] = np.minimum(quantiles[:, 2 * k, None] * inflation, 0.0) * width
        upper[wanted] = np.maximum(quantiles[:, 2 * k + 1, None] * inflation, 0.0) * width
    return lower, upper


def young_factor(observed: Indices) -> Floats:
    """A scale from few days may be far off, as Student's t is wider than the normal. The number of days was chosen so
    that series cut to their last 3 to 56 days are covered as promised."""
    return 1.0 + YOUNG_INFLATION_DAYS / np.maximum(observed, 1.0)


def scored_leads(horizon: int) -> Indices:
    return np.array([k for k in SCORED_LEADS if k <= horizon], dtype=np.int64)


def _at(values: Singles, leads: Indices) -> Singles:
    """values[n, O, h] at the leads; a view if they are all of them."""
    return values if len(leads) == values.shape[2] else values[:, :, leads - 1]


def measure(rolled: RollingForecast, y: Floats, size: Floats) -> Spread:
    """`y[n, T]`: the history; `size[n]`: typical absolute value of a day of each series, above zero."""
    _, origins, horizon = rolled.errors.shape
    scored = scored_leads(horizon)
    errors = _at(rolled.errors, scored)
    seen = np.isfinite(errors)
    absolute = np.abs(errors)
    np.copyto(absolute, 0.0, where=~seen)
    path = np.abs(rolled.path)
    typical = path.mean(axis=(1, 2))
    path /= np.where(typical > 0, typical, 1.0)[:, None, None]
    height = np.power(np.maximum(path, 0.05, out=path), LEVEL_POWER, out=path)
    absolute /= _at(height, scored)[:, :-1]

    growth = _growth(absolute, seen, scored)
    absolute /= (scored[None, :] ** growth[:, None]).astype(np.float32)[:, None, :]
    mean = absolute.sum(axis=(1, 2)) / np.maximum(seen.sum(axis=(1, 2)), 1)
    # target day of origin o and lead k, counted from the first origin
    target = np.arange(origins)[:, None] + scored[None, :]
    weekday = _weekday_factors(absolute, seen, target, mean)
    absolute /= weekday.astype(np.float32)[:, target % WEEK]

    by_day, known = _by_target_day(absolute, seen, scored)
    floor = RELATIVE_FLOOR * size
    scale, days = _running_scale(by_day, known, floor)
    grown_up = days[:, -1] >= SCALE_WARM_UP
    relative = float(np.median(scale[grown_up, -1] / size[grown_up])) if grown_up.any() else YOUNG_RELATIVE_ERROR
    # too young for errors of forecasts: what weeks differ by, and what is usual for the size
    difference = np.abs(y[:, WEEK:] - y[:, :-WEEK])
    pairs = np.isfinite(difference)
    rough = WEEKLY_DIFFERENCE_SHARE * np.where(pairs, difference, 0.0).sum(axis=1)
    prior = (rough + PRIOR_PAIRS * relative * size) / (pairs.sum(axis=1) + PRIOR_PAIRS)
    own = np.where(days[:, -1] > 0, scale[:, -1], 0.0)
    blended = (days[:, -1] * own + PRIOR_ERROR_DAYS * prior) / (days[:, -1] + PRIOR_ERROR_DAYS)
    scale[days < SCALE_WARM_UP] = np.nan
    scale[:, -1] = np.maximum(np.where(grown_up, own, blended), floor)
    return Spread(scale, growth, weekday, height)


def _growth(absolute: Floats, seen: NDArray[np.bool_], leads: Indices) -> Floats:
    """Exponent g of error ~ lead^g, [n]: half the series' own, half the panel's median."""
    n = len(absolute)
    count = seen.sum(axis=1)
    enough = count >= 14
    usable = enough.sum(axis=1) >= 3
    mean = absolute.sum(axis=1) / np.maximum(count, 1)
    log_lead = np.log(leads)
    weight = enough * (mean > 0)
    log_mean = np.log(np.maximum(mean, 1e-300))
    total = np.maximum(weight.sum(axis=1), 1)
    centre_lead = (weight * log_lead).sum(axis=1) / total
    centre_mean = (weight * log_mean).sum(axis=1) / total
    away = (log_lead[None, :] - centre_lead[:, None]) * weight
    own = (away * (log_mean - centre_mean[:, None])).sum(axis=1) / np.maximum((away**2).sum(axis=1), 1e-9)
    usable &= (away**2).sum(axis=1) > 0.1
    panel = float(np.median(own[usable])) if usable.any() else 0.15
    return (
        np.clip(np.where(usable, OWN_GROWTH_SHARE * own + (1 - OWN_GROWTH_SHARE) * panel, panel), 0.0, MAX_GROWTH)
        if n
        else own
    )


def _weekday_factors(absolute: Floats, seen: NDArray[np.bool_], target: Indices, mean: Floats) -> Floats:
    n = len(absolute)
    leads = absolute.shape[2]
    factors = np.ones((n, WEEK))
    safe = np.where(mean > 0, mean, 1.0)
    for weekday in range(WEEK):
        chosen = target % WEEK == weekday
        total = np.einsum("nok,ok->n", absolute, chosen.astype(np.float64)) / safe / leads
        days = np.einsum("nok,ok->n", seen, chosen.astype(np.float64)) / leads
        factors[:, weekday] = (total + WEEKDAY_PRIOR_DAYS) / (days + WEEKDAY_PRIOR_DAYS)
    return factors


def _by_target_day(absolute: Floats, seen: NDArray[np.bool_], leads: Indices) -> tuple[Floats, NDArray[np.bool_]]:
    """Mean over the leads of the absolute errors that fall on each day, [n, O + 1]; the day's column is counted from
    the first origin, so the last column is today."""
    n, origins, _ = absolute.shape
    total = np.zeros((n, origins + 1))
    count = np.zeros((n, origins + 1))
    for k, lead in enumerate(leads):
        if lead <= origins:
            total[:, lead:] += absolute[:, : origins + 1 - lead, k]
            count[:, lead:] += seen[:, : origins + 1 - lead, k]
    return total / np.maximum(count, 1), count > 0


def _running_scale(by_day: Floats, known: NDArray[np.bool_], floor: Floats) -> tuple[Floats, Floats]:
    """Exponentially weighted mean of what was seen up to each day, [n, O + 1], and the number of days behind it."""
    n, days = by_day.shape
    keep = 0.5 ** (1.0 / SCALE_HALF_LIFE)
    total = np.zeros(n)
    weight = np.zeros(n)
    scale = np.empty((n, days))
    current = floor.copy()
    for day in range(days):
        size = np.where(weight > 5.0, np.minimum(by_day[:, day], DAY_CAP * current), by_day[:, day])
        total = keep * total + size * known[:, day]
        weight = keep * weight + known[:, day]
        current = np.maximum(np.where(weight > 0, total / np.maximum(weight, 1e-12), floor), floor)
        scale[:, day] = current
    return scale, np.cumsum(known, axis=1).astype(np.float64)


def pooled_quantiles(
    standard: Floats | Singles, tails: Floats, relative: Floats, default: Floats, *, default_rows: float = DEFAULT_ROWS
) -> Floats:
    """Quantiles of standard[n, R] (NaN = none) for every row, [n, tails]: half from all rows, half from the third of
    the rows with a similar `relative` error. `default[tails]` counts as `default_rows` values."""
    n = len(standard)
    whole = _with_default(standard, tails, default, default_rows)
    quantiles = np.tile(whole, (n, 1))
    known = np.flatnonzero(np.isfinite(standard).any(axis=1))
    if len(known) < NEIGHBOUR_GROUPS * SERIES_PER_GROUP:
        return quantiles
    for group in np.array_split(known[np.argsort(relative[known], kind="stable")], NEIGHBOUR_GROUPS):
        quantiles[group] = 0.5 * whole + 0.5 * _with_default(standard[group], tails, default, default_rows)
    return quantiles


def _with_default(standard: Floats | Singles, tails: Floats, default: Floats, default_rows: float) -> Floats:
    values = standard[np.isfinite(standard)].astype(np.float64)
    if values.size == 0:
        return default
    if values.size > POOL_ROWS:
        values = values[:: -(-values.size // POOL_ROWS)]
    share = values.size / (values.size + default_rows)
    blended: Floats = share * np.quantile(values, tails) + (1 - share) * default
    return blended
