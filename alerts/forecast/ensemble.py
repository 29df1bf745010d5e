"""The default forecasting engine: an ensemble of robust exponential smoothers, no optimiser, all series at once.

Two streams of members run over every series, each member with fixed gains (level, season) from a small grid:

- plain scale: additive week;
- soft-log scale (sign(y) log(1 + |y| / c), so credits and zeros are legal): multiplicative week, two members with a
  damped trend.

Innovations are clipped at 1.5 times a running mean absolute error (Huber's rule), so that one odd day does not move
the state; after several days in a row on the same side the level is set to where those days were, so that a lasting
shift is followed (4 days in the log stream, 7 in the plain one: which of the two is right is decided by the weights).
Every member forecasts from each of the last days as origin; weight = exp(-25 (MAE / best MAE - 1)). What the members
have in common and get wrong (too slow a return to the long-run mean, too low a weekday) is corrected by one robust
regression of the rolling errors on six features, pooled over the panel. The errors that remain, of real forecasts
and not residuals of a fit, are what the intervals are made of (`alerts.forecast.intervals`).

Holt-Winters in error-correction form and the damped trend: Hyndman, Koehler, Ord and Snyder, "Forecasting with
Exponential Smoothing" (2008), ch. 2; clipped innovations: Gelper, Fried and Croux, "Robust forecasting with
exponential and Holt-Winters smoothing" (2010). The constants below were chosen where both halves of several sets of
series agreed; what was tried, and how it did on series never looked at, stands in benchmarks/forecast/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]  # of scaled series: six digits are more than a forecast has
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

WEEK: Final = 7
MAX_HISTORY: Final = 420  # days looked at; what is older has no weight left
ORIGINS: Final = 150  # rolling origins whose errors are kept
WEIGHT_ORIGINS: Final = 112  # of them, those that set the members' weights
WEIGHT_HALF_LIFE: Final = 84.0  # days
WARM_UP: Final = 28  # days a series must have before an origin's errors count: the season starts from them
SHARPNESS: Final = 25.0
CLIP: Final = 1.5  # innovations beyond this many mean absolute errors are clipped
SPREAD_GAIN: Final = 0.05  # of the running mean absolute error
SPREAD_CAP: Final = 6.0  # one day counts for at most this many mean absolute errors
LOG_SOFTNESS: Final = 0.05  # c of the soft log, in units of the series' mean
LOG_LIMIT: Final = 8.0  # soft-log forecasts stay below about 150 times the series' mean
BLOCK: Final = 256  # series per pass: the working set stays in cache

RIDGE: Final = 0.01  # of the number of rows
RIDGE_ROWS: Final = 300.0  # rows of "no correction" that a small panel has to outweigh
REGRESSION_ROWS: Final = 60_000
REGRESSION_LEADS: Final = 2 * WEEK
ERROR_CLIP: Final = 3.0  # in the series' own mean absolute errors
FEATURE_CLIP: Final = 4.0
CONSTANT: Final = 0.1
SHORT_MEAN: Final = 28
LONG_MEAN: Final = 91
MEAN_CLIP: Final = 3.0  # a day counts in those means as within so many mean absolute errors of its weekday

OUTLIER_SHARE: Final = 20.0  # of the mean: rows without such a day are left as they are
OUTLIER_MEDIANS: Final = 25.0  # one day counts for at most so many medians of the row's days with cost
OUTLIER_RANK: Final = 4  # or twice the fourth largest day: four such days are no accident

SPECIAL_DAY_PROOF: Final = 10.0
SPECIAL_DAYS_NEEDED: Final = 3


# Members: level gain, season gain, trend gain relative to the level's, damping. The plain stream comes first.
_GRID: Final = tuple((level, season, 0.0, 1.0) for level in (0.02, 0.07, 0.2, 0.5) for season in (0.03, 0.15))
_TRENDING: Final = tuple((0.15, season, 0.1, 0.97) for season in (0.03, 0.15))
_GAINS: Final = np.array(_GRID + _GRID + _TRENDING, dtype=np.float32)
MEMBERS: Final = len(_GAINS)
PLAIN: Final = slice(0, len(_GRID))
LOG: Final = slice(len(_GRID), MEMBERS)
TRENDING: Final = slice(2 * len(_GRID), MEMBERS)
# After that many days in a row beyond that many mean absolute errors on one side, the level moves to those days
_REBASE_DAYS: Final = np.where(np.arange(MEMBERS) < len(_GRID), 7, 4).astype(np.float32)[:, None]
_REBASE_LIMIT: Final = np.where(np.arange(MEMBERS) < len(_GRID), 1.5, 2.0).astype(np.float32)[:, None]


@dataclass(frozen=True)
class RollingForecast:
    """`mean[n, h]`: the forecast from the last day. `errors[n, O, h]`: actual minus forecast, with the O days before
    the last one as origins (oldest first), NaN where the actual is unknown or beyond the history, or where the series
    had fewer than `WARM_UP` days. `path[n, O + 1, h]`: the forecasts themselves, the last origin's being the mean.
    All in the units of y."""

    mean: Floats
    errors: Singles
    path: Singles


def roll(y: Floats, horizon: int, special_days: Sequence[Bools] = ()) -> RollingForecast:
    """Forecast every row of y[n, T] (float64, NaN = unknown) `horizon` days ahead, with rolling-origin errors.

    `special_days`, each [T + horizon]: days of one kind (month ends, holidays) on which a series may differ from its
    weekday; by how much is taken from the errors on past ones, shrunk to nothing where they do not stand out.

    A row needs a finite value; what to make of very short or dead rows is the caller's matter.
    """
    dropped = max(y.shape[1] - MAX_HISTORY, 0)
    y = y[:, -MAX_HISTORY:]
    n, days = y.shape
    origins = min(ORIGINS, days - 1)
    finite = np.isfinite(y)
    y = tame_outliers(y)
    size = np.where(finite, np.abs(y), 0.0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    size = np.where(size > 0, size, 1.0)
    scaled = (np.where(finite, y, 0.0) / size[:, None]).astype(np.float32)
    grid = _Grid.of(days, origins, horizon, finite)

    path = np.empty((n, origins + 1, horizon), dtype=np.float32)
    for begin in range(0, n, BLOCK):
        rows = slice(begin, min(begin + BLOCK, n))
        path[rows] = _combine(scaled[rows], finite[rows], grid, rows)
    errors = _ahead(scaled, horizon)[:, days - origins : days] - path[:, :-1]
    correction = _pooled_correction(scaled, finite, path, errors, grid)
    if correction is not None:
        path += correction
        errors -= correction[:, :-1]
    for kind in special_days:
        correction = _special_day_correction(errors, kind[dropped:], grid)
        path += correction
        errors -= correction[:, :-1]
    np.copyto(errors, np.nan, where=~grid.usable)
    mean = path[:, -1] * size[:, None]
    unit = size.astype(np.float32)[:, None, None]
    path *= unit
    errors *= unit
    return RollingForecast(mean, errors, path)


def tame_outliers(y: Floats) -> Floats:
    """y[n, T] with days that dwarf all others cut to what a scale can bear: a purchase booked on one day, a bill in the
    wrong unit. The rest of a series would vanish beside it. The same array when there is none."""
    size = np.abs(y)
    known = np.isfinite(size)
    size[~known] = 0.0
    count = known.sum(axis=1)
    largest = size.max(axis=1, initial=0.0)
    odd = np.flatnonzero((count >= 2 * OUTLIER_RANK) & (largest * count > OUTLIER_SHARE * size.sum(axis=1)))
    if not odd.size:
        return y
    tamed = y.copy()
    for row in odd:
        days = np.sort(size[row][known[row]])
        limit = max(OUTLIER_MEDIANS * float(np.median(days[days > 0])), 2.0 * float(days[-OUTLIER_RANK]))
        tamed[row] = np.clip(y[row], -limit, limit)
    return tamed


@dataclass(frozen=True)
class _Grid:
    """Which day each origin's lead falls on. Days count within the history that is looked at."""

    origins: int
    horizon: int
    origin_days: Indices  # [O + 1], the last one is the real forecast's
    target_days: Indices  # [O + 1, h], clipped into the history
    usable: Bools  # [n, O, h]: the actual is known and the origin is past the warm-up
    scored_leads: Indices  # lead indices by which members are weighed

    @staticmethod
    def of(days: int, origins: int, horizon: int, finite: Bools) -> _Grid:
        first = first_finite(finite)
        origin_days = np.arange(days - 1 - origins, days)
        target_days = np.minimum(origin_days[:, None] + np.arange(1, horizon + 1)[None, :], days - 1)
        usable = _ahead(finite, horizon)[:, days - origins : days].copy()
        usable &= (origin_days[None, :-1] >= first[:, None] + WARM_UP - 1)[:, :, None]
        scored = np.array([k for k in (1, 2, 4, 7, 10, 14, 21, 28, 42, 56, 70, 84) if k <= horizon]) - 1
        return _Grid(origins, horizon, origin_days, target_days, usable, scored)


def _ahead(values: NDArray[Any], horizon: int) -> NDArray[Any]:
    """View [n, T + 1, h] of values[n, T]: row k holds the h days from day k on, zero (False) beyond the last."""
    padded = np.concatenate([values, np.zeros((len(values), horizon), dtype=values.dtype)], axis=1)
    return sliding_window_view(padded, horizon, axis=1)


def first_finite(finite: Bools) -> Indices:
    """Index of each row's first True, [n]; T for a row that has none."""
    first: Indices = np.where(finite.any(axis=1), finite.argmax(axis=1), finite.shape[1]).astype(np.int64)
    return first


def _combine(scaled: Singles, finite: Bools, grid: _Grid, rows: slice) -> Singles:
    """The ensemble's forecasts from every origin, [n, O + 1, h], in scaled units."""
    leads = np.arange(1, grid.horizon + 1)
    season_index = (grid.origin_days[:, None] + leads[None, :]) % WEEK
    damping = float(_GAINS[TRENDING, 3][0])
    damped = np.cumsum(damping**leads).astype(np.float32)
    level, trend, season = _smooth(scaled, finite, grid)

    # weigh the members on every second origin: neighbours' errors are nearly the same numbers
    skip = slice(max(grid.origins - WEIGHT_ORIGINS, 0), grid.origins, 2)
    age = grid.origins - np.arange(grid.origins)[skip]
    decay = (0.5 ** (age / WEIGHT_HALF_LIFE)).astype(np.float32)
    actual = np.ascontiguousarray(scaled.T)
    usable = grid.usable[rows]
    total = np.zeros((MEMBERS, len(scaled)), dtype=np.float32)
    count = np.zeros(len(scaled), dtype=np.float32)
    origin = np.arange(grid.origins)[skip]
    for k in grid.scored_leads:
        importance: Singles = usable[:, skip, k].T * decay[:, None]
        guess = season[origin, season_index[origin, k]] + level[skip.start : grid.origins : 2]
        guess[:, TRENDING] += trend[skip.start : grid.origins : 2] * damped[k]
        guess[:, LOG] = _soft_exp(guess[:, LOG])
        guess -= actual[grid.target_days[origin, k]][:, None]
        np.abs(guess, out=guess)
        total += np.einsum("omn,on->mn", guess, importance)
        count += importance.sum(axis=0)
    total /= np.maximum(count, 1e-12)
    weights = _weights(total)

    path = np.zeros((grid.origins + 1, grid.horizon, len(scaled)), dtype=np.float32)
    for members in (PLAIN, LOG):
        own = weights[members]
        share = own.sum(axis=0)
        own = own / np.maximum(share, 1e-12)
        mixed = np.einsum("osmn,mn->osn", season[:, :, members], own)
        mixed += np.einsum("omn,mn->on", level[:, members], own)[:, None]
        part = mixed[np.arange(grid.origins + 1)[:, None], season_index]
        if members == LOG:
            own = own[TRENDING.start - LOG.start :]
            part += np.einsum("omn,mn->on", trend, own)[:, None] * damped[:, None]
            part = _soft_exp(part)
        part *= share
        path += part
    return path.transpose(2, 0, 1)


def _weights(scores: Singles) -> Singles:
    best = np.maximum(scores.min(axis=0), 1e-6)
    weights: Singles = np.exp(-SHARPNESS * np.minimum(scores / best - 1.0, 3.0))
    weights /= weights.sum(axis=0)
    return weights


def _soft_log(values: Singles) -> Singles:
    logged: Singles = np.sign(values) * np.log1p(np.abs(values) / np.float32(LOG_SOFTNESS))
    return logged


def _soft_exp(values: Singles) -> Singles:
    size = np.minimum(np.abs(values), np.float32(LOG_LIMIT))
    np.expm1(size, out=size)
    size *= LOG_SOFTNESS
    return np.copysign(size, values)


def _start(values: Singles, finite: Bools, first: Indices) -> tuple[Singles, Singles, Singles]:
    """Level [n], season [7, n] and mean absolute error [n] from each row's first four weeks."""
    n, days = values.shape
    where = first[:, None] + np.arange(WARM_UP)
    inside = where < days
    where = np.minimum(where, days - 1)
    seen = inside & np.take_along_axis(finite, where, axis=1)
    segment = np.where(seen, np.take_along_axis(values, where, axis=1), np.nan).reshape(n, WARM_UP // WEEK, WEEK)
    counts = np.isfinite(segment).sum(axis=1)
    level = _median(segment.reshape(n, WARM_UP))
    season = np.where(counts > 0, _median(segment.transpose(0, 2, 1)) - level[:, None], 0.0) * counts / (counts + 1.0)
    season -= season.mean(axis=1, keepdims=True)
    rest = np.abs(segment - level[:, None, None] - season[:, None, :])
    spread = np.where(np.isfinite(rest), rest, 0.0).sum(axis=(1, 2)) / np.maximum(counts.sum(axis=1), 1)
    by_weekday = np.empty((WEEK, n), dtype=np.float32)
    for k in range(WEEK):
        by_weekday[(first + k) % WEEK, np.arange(n)] = season[:, k]
    return level.astype(np.float32), by_weekday, np.maximum(spread, 1e-3).astype(np.float32)


def _median(values: Singles) -> Singles:
    """Median over the last axis, NaN left out; 0 where all are NaN."""
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(values).sum(axis=-1)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, np.maximum(count // 2, 0)[..., None], axis=-1)[..., 0]
    return np.where(count > 0, 0.5 * (low + high), 0.0)


def _smooth(scaled: Singles, finite: Bools, grid: _Grid) -> tuple[Singles, Singles, Singles]:
    """Run all members over scaled[n, T]; states after each origin's day: level [O + 1, members, n], trend of the
    trending members, season [O + 1, 7, members, n]."""
    n, days = scaled.shape
    logged = _soft_log(scaled)
    first = first_finite(finite)
    level = np.empty((MEMBERS, n), dtype=np.float32)
    season = np.empty((WEEK, MEMBERS, n), dtype=np.float32)
    spread = np.empty((MEMBERS, n), dtype=np.float32)
    for members, values in ((PLAIN, scaled), (LOG, logged)):
        start_level, start_season, start_spread = _start(values, finite, first)
        level[members], season[:, members], spread[members] = start_level, start_season[:, None], start_spread
    level_gain, season_gain, trend_gain, damping = (_GAINS[:, k, None] for k in range(4))
    trend_gain = (trend_gain * level_gain)[TRENDING]
    damping = damping[TRENDING]
    trend = np.zeros((TRENDING.stop - TRENDING.start, n), dtype=np.float32)
    calm_spread = spread.copy()  # the spread before the current run began
    run = np.zeros_like(level)  # signed length of the current run of days beyond the limit
    gap = np.zeros_like(level)  # sum over the run of (day - level), with the level as it now stands
    origins = grid.origins
    kept_level = np.empty((origins + 1, MEMBERS, n), dtype=np.float32)
    kept_trend = np.empty((origins + 1, len(trend), n), dtype=np.float32)
    kept_season = np.empty((origins + 1, WEEK, MEMBERS, n), dtype=np.float32)
    plain_days = np.ascontiguousarray(scaled.T)
    log_days = np.ascontiguousarray(logged.T)
    seen = np.ascontiguousarray(finite.T.astype(np.float32))
    complete: list[bool] = np.asarray(finite.all(axis=0)).tolist()
    error, size, limit, step, side = (np.empty_like(level) for _ in range(5))
    goes_on = np.empty(level.shape, dtype=bool)
    shortest = float(_REBASE_DAYS.min())
    for day in range(days):
        weekday = season[day % WEEK]
        trend *= damping
        level[TRENDING] += trend
        np.subtract(plain_days[day], level[PLAIN], out=error[PLAIN])
        np.subtract(log_days[day], level[LOG], out=error[LOG])
        error -= weekday
        if not complete[day]:
            error *= seen[day]
        np.abs(error, out=size)
        # which side of the limit, and whether yesterday was on the same
        np.multiply(spread, _REBASE_LIMIT, out=limit)
        np.sign(error, out=side)
        side *= size > limit
        np.multiply(side, run, out=step)
        np.greater(step, 0.0, out=goes_on)
        np.copyto(calm_spread, spread, where=~goes_on)
        # clipped innovation
        np.multiply(spread, CLIP, out=limit)
        np.minimum(error, limit, out=step)
        np.negative(limit, out=limit)
        np.maximum(step, limit, out=step)
        weekday += season_gain * step
        trend += trend_gain * step[TRENDING]
        step *= level_gain
        level += step
        # running mean absolute error
        np.multiply(spread, SPREAD_CAP, out=limit)
        np.minimum(size, limit, out=size)
        size -= spread
        size *= SPREAD_GAIN
        if not complete[day]:
            size *= seen[day]
        spread += size
        np.maximum(spread, 1e-4, out=spread)
        # the run of days beyond the limit
        error -= step
        np.abs(run, out=size)
        step *= size
        gap -= step
        gap *= goes_on
        gap += error
        run *= goes_on
        run += side
        np.abs(run, out=size)
        if size.max() >= shortest:
            moved = size >= _REBASE_DAYS
            if moved.any():
                level[moved] += gap[moved] / size[moved]
                spread[moved] = np.minimum(spread[moved], 1.5 * calm_spread[moved])
                run[moved] = 0.0
        kept = day - (days - 1 - origins)
        if kept >= 0:
            kept_level[kept], kept_trend[kept], kept_season[kept] = level, trend, season
    return kept_level, kept_trend, kept_season


def _pooled_correction(scaled: Singles, finite: Bools, path: Singles, errors: Singles, grid: _Grid) -> Singles | None:
    """What the panel's rolling errors say the ensemble gets wrong in common, [n, O + 1, h]; None without errors.

    Features, each as its distance from the ensemble's forecast in units of the series' mean absolute error: the mean
    of the last 28 and 91 days, last week's same weekday, the mean and the trimmed mean of the last eight same
    weekdays, and a constant. Robust (least absolute deviations by two reweighted steps) ridge regression on leads of
    up to two weeks; the correction repeats weekly beyond them.
    """
    usable = grid.usable.sum(axis=(1, 2))
    absolute = np.abs(np.where(grid.usable, errors, 0)).sum(axis=(1, 2)) / np.maximum(usable, 1)
    has_errors = (usable > 0) & (absolute > 1e-6)
    if not has_errors.any():
        return None
    unit = np.where(has_errors, absolute, 1.0).astype(np.float32)[:, None, None]
    features = [
        np.clip(feature / unit, -FEATURE_CLIP, FEATURE_CLIP) for feature in _features(scaled, finite, path, unit, grid)
    ]
    leads = min(grid.horizon, REGRESSION_LEADS)
    rows = grid.usable[:, :, :leads] & has_errors[:, None, None]
    stride = max(1, -(-int(rows.sum()) // REGRESSION_ROWS))
    picked = np.arange(grid.origins)[::-1][::stride][::-1]
    rows = rows[:, picked]
    wanted = np.clip(errors[:, picked, :leads] / unit, -ERROR_CLIP, ERROR_CLIP)[rows].astype(np.float64)
    weekly = np.arange(leads) % WEEK
    shape = (len(scaled), len(picked), leads)
    design = np.empty((len(wanted), len(features) + 1))
    design[:, 0] = CONSTANT
    for k, feature in enumerate(features):
        chosen = feature[:, picked]
        chosen = chosen[:, :, weekly] if chosen.shape[2] == WEEK else np.broadcast_to(chosen, shape)
        design[:, k + 1] = chosen[rows]
    penalty = (RIDGE * len(wanted) + RIDGE_ROWS) * np.eye(design.shape[1])
    slopes = np.linalg.solve(design.T @ design + penalty, design.T @ wanted)
    for _ in range(2):
        weight = 1.0 / np.maximum(np.abs(wanted - design @ slopes), 0.2)
        weighted = design * weight[:, None]
        slopes = np.linalg.solve(weighted.T @ design + penalty, weighted.T @ wanted)
    correction = np.full((len(scaled), grid.origins + 1, WEEK), CONSTANT * slopes[0], dtype=np.float32)
    for feature, slope in zip(features, slopes[1:], strict=True):
        correction += feature * np.float32(slope)
    correction *= np.where(has_errors[:, None, None], unit, 0)
    return correction[:, :, np.arange(grid.horizon) % WEEK]


def _special_day_correction(errors: Singles, special_days: Bools, grid: _Grid) -> Singles:
    """What special days differ by, [n, O + 1, h], zero on other days: the mean error on past ones without the highest
    and the lowest (one odd day that was a month end too makes no month end), times
    max(0, 1 - SPECIAL_DAY_PROOF / t^2), t being that mean over its standard error (positive-part James-Stein)."""
    leads = np.arange(min(grid.horizon, WEEK))
    first = int(grid.origin_days[0])
    width = grid.origins + 1
    total = np.zeros((len(errors), width))
    count = np.zeros((len(errors), width))
    for lead in leads:
        inside = width - 1 - lead
        if inside <= 0:
            break
        usable = grid.usable[:, :inside, lead]
        total[:, lead + 1 :] += np.where(usable, errors[:, :inside, lead], 0.0)
        count[:, lead + 1 :] += usable
    known = count > 0
    by_day = np.where(known, total / np.maximum(count, 1), 0.0)
    special = special_days[first : first + width][None, :] & known
    number = special.sum(axis=1)
    enough = number >= SPECIAL_DAYS_NEEDED
    highest = np.where(enough, np.where(special, by_day, -np.inf).max(axis=1, initial=-np.inf), 0.0)
    lowest = np.where(enough, np.where(special, by_day, np.inf).min(axis=1, initial=np.inf), 0.0)
    mean = ((by_day * special).sum(axis=1) - highest - lowest) / np.maximum(number - 2, 1)
    rest = known & ~special
    variance = (by_day**2 * rest).sum(axis=1) / np.maximum(rest.sum(axis=1), 1)
    t_squared = mean**2 * number / np.maximum(variance, 1e-12)
    shrunk = np.maximum(0.0, 1.0 - SPECIAL_DAY_PROOF / np.maximum(t_squared, 1e-12))
    kept = np.where(enough, shrunk, 0.0)
    ahead = grid.origin_days[:, None] + np.arange(1, grid.horizon + 1)
    correction: Singles = ((mean * kept)[:, None, None] * special_days[ahead]).astype(np.float32)
    return correction


def _features(scaled: Singles, finite: Bools, path: Singles, unit: Singles, grid: _Grid) -> list[Singles]:
    """Distances from the ensemble's forecast, by origin and weekday of the first week ahead: [n, O + 1, 1 or 7]."""
    n, days = scaled.shape
    own = path[:, :, np.minimum(np.arange(WEEK), grid.horizon - 1)]
    origin = grid.origin_days
    # per day: number, sum and extremes of this weekday's last eight values, this day included
    oldest = int(max(origin[0] - LONG_MEAN, 0))
    width = days - oldest
    number = np.zeros((n, width), dtype=np.float32)
    value = np.zeros((n, width), dtype=np.float32)
    highest = np.full((n, width), -np.inf, dtype=np.float32)
    lowest = np.full((n, width), np.inf, dtype=np.float32)
    for lag in range(0, 8 * WEEK, WEEK):
        skip = max(lag - oldest, 0)
        if skip >= width:
            break
        source = slice(oldest + skip - lag, days - lag)
        there, seen = finite[:, source], scaled[:, source]
        number[:, skip:] += there
        value[:, skip:] += seen
        highest[:, skip:] = np.maximum(highest[:, skip:], np.where(there, seen, -np.inf))
        lowest[:, skip:] = np.minimum(lowest[:, skip:], np.where(there, seen, np.inf))
    mean = value / np.maximum(number, 1)
    can_trim = number >= 3
    extremes = np.where(can_trim, highest, 0) + np.where(can_trim, lowest, 0)
    trimmed = np.where(can_trim, (value - extremes) / np.maximum(number - 2, 1), mean)

    features: list[Singles] = []
    # an odd day must not come back in through the long means
    reach = MEAN_CLIP * unit[:, :, 0]
    tamed = np.clip(scaled[:, oldest:], trimmed - reach, trimmed + reach) * finite[:, oldest:]
    total = np.concatenate([np.zeros((n, 1)), np.cumsum(tamed, axis=1, dtype=np.float64)], axis=1)
    count = np.concatenate([np.zeros((n, 1)), np.cumsum(finite[:, oldest:], axis=1, dtype=np.float64)], axis=1)
    ahead = own.mean(axis=2)
    end = origin + 1 - oldest
    for window in (SHORT_MEAN, LONG_MEAN):
        begin = np.maximum(end - window, 0)
        known = count[:, end] - count[:, begin]
        level = (total[:, end] - total[:, begin]) / np.maximum(known, 1.0)
        features.append(np.where(known > 0, level - ahead, 0.0).astype(np.float32)[:, :, None])
    # the newest known day of each weekday of the week ahead: origin - 6 … origin
    latest = origin[:, None] - (WEEK - 1) + np.arange(WEEK)
    exists = latest >= 0
    latest = np.maximum(latest, 0)
    column = np.maximum(latest - oldest, 0)
    features.append(np.where(exists & finite[:, latest], scaled[:, latest] - own, 0))
    for average in (mean, trimmed):
        features.append(np.where(exists & (number > 0)[:, column], average[:, column] - own, 0))
    return features
