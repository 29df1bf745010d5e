"""Trend-break scores for daily series, causal and vectorised across series.

One pass over the days keeps a robust state per series on the soft-log scale q = log(y + c): level,
weekday, month edge, first-order correlation, and one scale for each side. Four channels read it:

* `point`  one day against the forecast, half way between the log and the dollar scale, less what it makes up
  for of the two days before (usage that is billed a day late); downward (log scale) only when two days
  running are low, so that an incomplete last day never alerts;
* `week`   the dollars of the last 7 days against the level as it stood 14 days ago: shifts and drifts
  (a baseline that lags behind does not follow the drift it should reveal);
* `fortnight` the dollars of the last 14 days against the level before them, each side with its limit;
* `off`    under a tenth of the expected for longer than 1.5 times the longest such run so far.

A series with cost on some days only, in no weekly order, is read on the days that have one: its other days
are idle, unknown to all channels but `off`, which there also asks how likely so long a run is by chance.

Limits calibrate themselves: a window's error is estimated from that window's own past, each side for
itself, and the limit of a single day rises with a third of the series' decaying record. `score >= 1` is tuned to
one false alert per series-year; how, and what else was tried, is in benchmarks/detection/README.md.

Rows are independent, but for what many of them share. Of at least 20 series: where 5 and a tenth are beyond
2.5 deviations of a day on one side, and where the median of their windows is beyond two standard errors, that
median move is taken out of each (never past zero). A holiday, December or a price change is then no alert of
every series; that all of them moved is for alerts.breaks to say. Days are compared in groups of at most 1,024
series, windows in groups of at most 128.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.model import Floats

Ints = NDArray[np.int8]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]
Block = NDArray[np.floating[Any]]  # float32: what is measured is never that exact

CHANNELS = ("none", "point", "week", "fortnight", "off")
NONE, POINT, WEEK, FORTNIGHT, OFF = range(5)

# Limits: chosen on the generator and seeds named in benchmarks/detection/README.md.
POINT_LIMIT = 4.25  # deviations upward at which a single day alerts, and the bounds of a day
_LIMIT_POINT_DOWN = 7.2
_LIMIT_WEEK_UP = 2.87
_LIMIT_FORTNIGHT_UP = 2.82
_LIMIT_FORTNIGHT_DOWN = 3.65
_LIMIT_OFF = 1.0

_LEVEL_GAIN = 0.045
_WEEKDAY_GAIN = 0.06
_MONTH_EDGE_GAIN = 0.08
_MONTH_EDGE_SHRINK = 6.0  # observations' worth of "no month-end effect"
_SCALE_GAIN = 0.008  # nearly the plain mean: a scale that follows the last month hides its own outliers
_CORRELATION_GAIN = 0.015
_UPDATE_CLIP = 1.25  # of the scale: one outlier moves the state no further
_LEARNING_DAYS, _LEARNING_CLIP = 28, 2.0  # while the weekdays are still being learned
_SCALE_FLOOR_STATE = 0.02
_SCALE_FLOOR_POINT = 0.05
_FIRST_SCALE = 0.15
_REBASE_DAYS = 7
_REBASE_SIGMA = 1.5
_REBASE_WEEKDAYS = (0, 3)  # looked at on Mondays and Thursdays: the same days whatever the first column is
SHARED_SERIES = 20
_SHARED_LEAST, _SHARED_SHARE, _SHARED_SIGMA = 5, 0.10, 2.5
_SHARED_ERRORS = 2.0 * 1.253  # two standard errors of a median of n deviations, times the root of n
_RECORD_SHARE = 0.35
_RECORD_HALF_LIFE = 120.0
_RECORD_DELAY = 4  # days after which a past score may raise the limit: never during its own event
_LEVEL_WALK = 0.006  # sd per day of a level that wanders although nothing happened
_FIRST_DAY = 14  # age from which a single day is scored: two weeks teach the weekdays
_WARM_UP_DAYS = 28
_YOUNG_SCALE = 8.0  # days' worth of doubt about the scale of a series that is 28 days old
_PRIOR_WEIGHT = 2.0
_SHARED_GAIN = 1.06  # what is left without the shared part differs less
_OFF_RECORD = 1.4  # days: where nothing was ever off, three days running are news, and two are not
_SPORADIC_DAYS = 56  # looked back over for days without cost that neither the week nor one outage explains
_SPORADIC_FROM, _SPORADIC_UNTIL = 0.09, 0.04  # share of days that differ from the day before and the week before
_OFF_CHANCE = 3.1  # minus log10 of the chance of a run of idle days at which a sporadic series is off
_YEAR = 365
_WINDOW_CLIP_LOW = 2.0  # of the scale: inside a window a spike is the point channel's business
_WINDOW_CLIP_HIGH = 2.75
_TOLD_FROM = np.float32(0.5)  # below this score nobody asks which channel it was
_TINY = 1e-12
_STATE_COLUMNS = 1024  # the daily recursion runs over this many series at once: one call per operation
_SCORE_COLUMNS = 128  # the rest over this many: whole histories that stay in the cache


@dataclass(frozen=True)
class PanelScores:
    """All arrays are [n, T], on the panel's days.

    `score`: 1.0 is the alert limit (one false alert per series-year); 0 where it cannot be said.
    `channel`: index into CHANNELS of the channel that gave the score, `direction`: +1 or -1; both 0 below
    a score of 0.5.
    `expected`, `lower`, `upper`: the forecast of the day from the days before it and the range inside
    which a single day does not alert, in the unit of y; NaN before a series exists.
    `level_score`: the score of the weekly and fortnightly channels alone: they have a thinner tail than
    single days, so that the same score is stronger evidence.
    `idle`: days without cost of a series that has cost on some days only; what is expected is of the others.
    """

    score: Floats
    channel: Ints
    direction: Ints
    expected: Floats
    lower: Floats
    upper: Floats
    level_score: Floats
    idle: Bools


_Restarts = dict[int, tuple[Indices, Floats, Floats]]


@dataclass(frozen=True)
class _States:
    """Time-major [T, n], on the soft-log scale; each row is known before its own day, but for q."""

    q: Block
    level: Block
    base: Block  # level + weekday + month edge
    forecast: Block  # base + correlation with the day before
    scale_up: Block
    scale_down: Block
    rho: Block

    def take_columns(self, columns: slice) -> _States:
        """Some series, series-major [columns, T]."""
        return _States(
            *(np.ascontiguousarray(getattr(self, f.name)[:, columns].T, dtype=np.float32) for f in fields(self))
        )


def score_panel(y: Floats, *, start: date, unit_floor: float = 0.5) -> PanelScores:
    """Score every day of every series from that day and the days before it.

    `y` [n, T] float64: NaN before a series exists; a NaN later is a day that is not known, and scores 0. So is
    a negative one: it is a correction of other days, and says nothing about use.
    `start`: the day of column 0 (weekdays and month edges are taken from it). `unit_floor`: differences
    well below it, in the unit of y, are noise (50 cents for dollars).
    Raises ValueError when y is not two-dimensional.
    """
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 2:
        raise ValueError(f"y must be [series, days], got {y.ndim} dimension(s)")
    n, days = y.shape
    out = PanelScores(
        score=np.zeros((n, days)),
        channel=np.zeros((n, days), np.int8),
        direction=np.zeros((n, days), np.int8),
        expected=np.full((n, days), np.nan),
        lower=np.full((n, days), np.nan),
        upper=np.full((n, days), np.nan),
        level_score=np.zeros((n, days)),
        idle=np.zeros((n, days), np.bool_),
    )
    if days == 0:
        return out
    weekday, month_edge = read_calendar(start, days)
    groups = -(-n // _STATE_COLUMNS)
    for low, high in pairwise(round(n * k / groups) for k in range(groups + 1)) if groups else ():
        _score_rows(y, slice(low, high), weekday, month_edge, unit_floor, out)
    return out


@lru_cache(maxsize=64)
def read_calendar(start: date, days: int) -> tuple[Indices, Bools]:
    """[days] weekday (Monday 0) and month edge (the last two days of a month and its first)."""
    dates = [start + timedelta(days=k) for k in range(days)]
    weekday = np.array([d.weekday() for d in dates], dtype=np.int64)
    edge = np.array([d.day == 1 or (d + timedelta(days=2)).day <= 2 for d in dates], dtype=np.bool_)
    return weekday, edge


def _score_rows(
    y: Floats, rows: slice, weekday: Indices, month_edge: Bools, unit_floor: float, out: PanelScores
) -> None:
    series = np.ascontiguousarray(y[rows].T)  # [T, n] from here on: the daily step reads memory in order
    known = np.isfinite(series)
    if not known.any():
        return
    first = np.where(known.any(axis=0), known.argmax(axis=0), len(series))
    known &= ~(series < 0)
    filled = np.where(known, np.maximum(series, 0.0), 0.0)
    shift, warm_shift = _soft_log_shifts(filled, first, unit_floor)
    idle, fresh = _find_idle(filled, known)
    seen = known & ~idle
    out.idle[rows] = idle.T
    restarts = _plan_restarts(filled, known, fresh, shift)
    all_seen = bool(seen.all())
    states = _run_states(filled, None if all_seen else seen, first, weekday, month_edge, shift, restarts)
    if filled.shape[1] >= SHARED_SERIES:
        _take_out_shared(states, seen & (np.arange(len(series))[:, None] - first >= _WARM_UP_DAYS))
    at, inside, warm = _warm_up(filled, known, first, weekday, month_edge, warm_shift)
    n, blocks = filled.shape[1], -(-filled.shape[1] // _SCORE_COLUMNS)
    for block in (slice(*ends) for ends in pairwise(n * k // blocks for k in range(blocks + 1))):
        target = slice(rows.start + block.start, rows.start + block.stop)
        _score_block(
            states.take_columns(block),
            warm.take_columns(block),
            (at[:, block].T, inside[:, block].T),
            np.ascontiguousarray(filled[:, block].T, dtype=np.float32),
            np.ascontiguousarray(known[:, block].T),
            np.ascontiguousarray(idle[:, block].T),
            _measure_ages(first[block], fresh[:, block]),
            (shift[block], warm_shift[block]),
            out,
            target,
        )


def _score_block(
    states: _States,
    warm: _States,
    warm_cells: tuple[Indices, Bools],
    filled: Block,
    known: Bools,
    idle: Bools,
    age: Indices,
    shifts: tuple[Floats, Floats],
    out: PanelScores,
    target: slice,
) -> None:
    """Series-major [columns, T] from here on: running sums go along the memory."""
    existing = np.broadcast_to(age >= 0, filled.shape)
    seen = known & ~idle
    score = np.zeros(filled.shape, np.float32)
    winner = np.zeros(filled.shape, np.int8)  # channel, negative when downward

    def offer(candidate: Block, code: int) -> None:
        winner[candidate > np.maximum(score, _TOLD_FROM)] = code
        np.maximum(score, candidate, out=score)

    windows = _sum_windows(states, seen, existing & ~idle, age)
    week, _ = windows.measure(days=7, lag=14)
    rise, fall = windows.measure(days=14, lag=14, with_fall=True)
    if len(filled) >= SHARED_SERIES:
        for measured in (week, rise, fall):
            _take_out_shared_windows(measured, seen & (age >= _WARM_UP_DAYS))
    week *= windows.is_high
    offer(np.multiply(week, 1.0 / _LIMIT_WEEK_UP, out=week), WEEK)
    rise *= windows.is_high
    offer(np.multiply(rise, 1.0 / _LIMIT_FORTNIGHT_UP, out=rise), FORTNIGHT)
    offer(_two_days_running(fall) / _LIMIT_FORTNIGHT_DOWN, -FORTNIGHT)

    score *= seen
    winner[idle] = 0
    out.level_score[target] = score

    # The windows, valid after the warm-up only, have read the main pass; the days of the warm-up itself
    # are judged by what was known then.
    shift = _overwrite_warm_up(states, warm, warm_cells, shifts)
    scale_up = np.maximum(states.scale_up, _SCALE_FLOOR_POINT)
    scale_down = np.maximum(states.scale_down, _SCALE_FLOOR_POINT)
    usable = known & (age >= _FIRST_DAY)
    surprise = np.where(usable & ~idle, states.q - states.forecast, 0.0)
    expected = np.exp(states.forecast)
    offer(_against_record(_rise_of_day(surprise, scale_up, expected, states.level, existing), POINT_LIMIT), POINT)
    offer(_against_record(_two_days_running(-surprise / scale_down), _LIMIT_POINT_DOWN), -POINT)
    is_off = usable & (filled < 0.1 * (np.exp(states.base) - shift))
    off = _off_runs(is_off)
    if idle.any():
        np.minimum(off, _judge_idle_runs(off > 0, filled, known), out=off, where=idle)
    offer(off / _LIMIT_OFF, -OFF)

    score *= known
    winner[~known] = 0
    out.score[target] = score
    out.channel[target] = np.abs(winner)
    out.direction[target] = np.sign(winner)
    expected[~existing] = np.nan
    out.expected[target] = np.maximum(expected - shift, 0.0)
    out.lower[target] = np.maximum(expected * np.exp(-POINT_LIMIT * scale_down) - shift, 0.0)
    out.upper[target] = expected * np.exp(POINT_LIMIT * scale_up) - shift


def _soft_log_shifts(filled: Floats, first: Indices, unit_floor: float) -> tuple[Floats, Floats]:
    """c of log(y + c): 0.3 of the median of the first 28 days that cost anything, and, while these are still
    running (the median would look ahead), 0.3 of the first day."""
    days, n = filled.shape
    columns = np.arange(n)
    early = filled[np.minimum(first[None, :] + np.arange(_WARM_UP_DAYS)[:, None], days - 1), columns]
    paid = np.where((early > 0) | ~(early > 0).any(axis=0), early, np.nan)
    return np.maximum(0.3 * np.nanmedian(paid, axis=0), unit_floor), np.maximum(0.3 * early[0], unit_floor)


def _find_idle(filled: Floats, known: Bools) -> tuple[Bools, Bools]:
    """[T, n] which days without cost are idle, and on which days a series began to have cost on some days only.

    From the 56 days before: many of them differ (cost or none) both from the day before and from a week before.
    Quiet weekends differ from no week before, and an outage only where it begins and ends.
    """
    none = known & (filled <= 0)
    idle, fresh = np.zeros(filled.shape, np.bool_), np.zeros(filled.shape, np.bool_)
    columns = np.flatnonzero(none.sum(axis=0) >= _SPORADIC_FROM * _WARM_UP_DAYS)
    if not columns.size:
        return idle, fresh
    is_none, is_known = none[:, columns], known[:, columns]
    differs = np.ones(is_none.shape, np.bool_)
    for back in (1, 7):
        differs[:back] = False
        differs[back:] &= (is_none[back:] != is_none[:-back]) & is_known[back:] & is_known[:-back]
    seen = _sum_before(is_known)
    share = np.where(seen >= _WARM_UP_DAYS, _sum_before(differs) / np.maximum(seen, 1), 0.0)
    days = np.arange(len(share))[:, None]
    entered = np.maximum.accumulate(np.where(share >= _SPORADIC_FROM, days, -1), axis=0)
    left = np.maximum.accumulate(np.where(share < _SPORADIC_UNTIL, days, -1), axis=0)
    sporadic = entered > left
    idle[:, columns] = is_none & sporadic
    fresh[1:, columns] = sporadic[1:] & ~sporadic[:-1]
    return idle, fresh


def _sum_before(values: Floats | Bools) -> Floats:
    """[T, n] sums over the 56 days before each day."""
    total = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=total[1:])
    return total[:-1] - total[np.maximum(np.arange(len(values)) - _SPORADIC_DAYS, 0)]


def _plan_restarts(filled: Floats, known: Bools, fresh: Bools, shift: Floats) -> _Restarts:
    """Day → (columns, level, variance): a state that has learned days without cost begins anew from those with one."""
    out: _Restarts = {}
    for t in np.flatnonzero(fresh.any(axis=1)).tolist():
        which = np.flatnonzero(fresh[t])
        before = slice(max(0, t - _SPORADIC_DAYS), t)
        paid = known[before, which] & (filled[before, which] > 0)
        q = np.where(paid, np.log(filled[before, which] + shift[which]), np.nan)
        out[t] = which, np.nanmedian(q, axis=0), np.maximum(np.nanvar(q, axis=0), _SCALE_FLOOR_POINT**2)
    return out


def _measure_ages(first: Indices, fresh: Bools) -> Indices:
    """[columns, T] days since the first one, or from a fresh start on as if its level were two weeks old then; [1, T]
    when all are the same."""
    days = np.arange(len(fresh))
    if not fresh.any():
        return np.asarray(days - (first[:1] if (first == first[0]).all() else first)[:, None])
    started = np.maximum.accumulate(np.where(fresh.T, days, -len(days)), axis=1)
    return np.asarray(np.minimum(days - first[:, None], days - started + _FIRST_DAY))


def _run_states(
    filled: Floats,
    known: Bools | None,
    first: Indices,
    weekday: Indices,
    month_edge: Bools,
    shift: Floats,
    restarts: _Restarts | None = None,
) -> _States:
    """The daily recursion. `known` None: every cell is known. `weekday`, `month_edge`: [T], or [T, n]
    when the columns start on different days."""
    days, n = filled.shape
    q = np.log(filled + shift).astype(np.float32)
    out = _States(q, *(np.empty((days, n), np.float32) for _ in range(6)))
    aligned = bool((first == 0).all())
    per_column = weekday.ndim == 2
    columns = np.arange(n)

    ages = np.arange(days)
    gain_level = np.maximum(_LEVEL_GAIN, 1.0 / (ages + 1.0))
    gain_weekday = np.maximum(_WEEKDAY_GAIN, 1.0 / (ages // 7 + 2.0))
    gain_scale = np.maximum(_SCALE_GAIN, 2.0 / (np.maximum(ages - _FIRST_DAY, 0) + 8.0)) * (ages >= _FIRST_DAY)
    clip = np.where(ages < _LEARNING_DAYS, _LEARNING_CLIP, _UPDATE_CLIP)
    gain_level, gain_weekday, gain_scale, clip = (
        gains.astype(np.float32) for gains in (gain_level, gain_weekday, gain_scale, clip)
    )

    level = q[np.minimum(first, days - 1), columns].copy()
    weekly = np.zeros((7, n), np.float32)
    variance = np.full((2, n), _FIRST_SCALE**2, np.float32)  # of upward and of downward surprises
    edge, edge_seen, step, ratio = np.zeros((4, n), np.float32)
    cross, power = np.full(n, 0.06, np.float32), np.full(n, 0.3, np.float32)
    rho = np.minimum(np.maximum((cross + 0.06) / (power + 0.3), 0.0), 0.6)
    residuals = np.zeros((days, n), np.float32)
    g_correlation: float | Floats = _CORRELATION_GAIN

    for t in range(days):
        if restarts and t in restarts:
            which, level[which], variance[:, which] = restarts[t]
            weekly[:, which] = edge[which] = edge_seen[which] = step[which] = 0.0
            residuals[max(0, t - _REBASE_DAYS) : t, which] = 0.0
        if aligned:
            g_level, g_week, g_scale, g_clip = gain_level[t], gain_weekday[t], gain_scale[t], clip[t]
        else:
            age = np.maximum(t - first, 0)
            g_level, g_week, g_scale, g_clip = gain_level[age], gain_weekday[age], gain_scale[age], clip[age]
        today = weekday[t]
        at_edge = month_edge[t]
        touches_edge = bool(at_edge.any()) if per_column else bool(at_edge)
        base, forecast = out.base[t], out.forecast[t]
        np.add(level, weekly[today, columns] if per_column else weekly[today], out=base)
        if touches_edge:
            base += edge * (edge_seen / (edge_seen + _MONTH_EDGE_SHRINK)) * at_edge
        np.multiply(rho, step, out=forecast)
        forecast += base
        out.level[t] = level
        out.rho[t] = rho
        np.sqrt(variance[0], out=out.scale_up[t])
        np.sqrt(variance[1], out=out.scale_down[t])

        residual = residuals[t]
        np.subtract(q[t], base, out=residual)
        surprise = q[t] - forecast
        if known is not None:
            seen = known[t]
            residual *= seen
            surprise *= seen
            g_correlation = np.float32(_CORRELATION_GAIN) * seen
        pooled = variance[0] + variance[1]
        pooled *= 0.5
        scale = np.sqrt(pooled)
        reach = g_clip * scale
        step = np.minimum(residual, reach)
        np.negative(reach, out=reach)
        np.maximum(step, reach, out=step)
        level = level + g_level * step
        if per_column:
            weekly[today, columns] += g_week * step
        else:
            weekly[today] += g_week * step
        if touches_edge:
            counted = at_edge & (t >= first)
            edge_seen = edge_seen + counted
            edge = edge + counted * step * np.maximum(1.0 / np.maximum(edge_seen, 1.0), _MONTH_EDGE_GAIN)
        square = surprise * surprise
        pooled *= 9.0
        np.minimum(square, pooled, out=square)
        np.maximum(square, 4e-4, out=square)
        change = square - variance
        change *= g_scale
        change[0] *= surprise > 0
        change[1] *= surprise < 0
        variance += change
        before = ratio
        ratio = step / scale
        cross += g_correlation * (ratio * before - cross)
        power += g_correlation * (before * before - power)

        if per_column or today in _REBASE_WEEKDAYS:
            rho = np.minimum(np.maximum((cross + 0.06) / (power + 0.3), 0.0), 0.6)
            moved = _find_moves(residuals, t, scale)
            if moved.any():
                mean = residuals[t - _REBASE_DAYS + 1 : t + 1].mean(axis=0)
                level = np.where(moved, level + 0.9 * mean, level)
                residuals[t - _REBASE_DAYS + 1 : t + 1, moved] = 0.0  # not twice
                step = np.where(moved, 0.0, step)
    return out


def _find_moves(residuals: Block, t: int, scale: Block) -> Bools:
    """Seven days running far on one side are a new level, taken over at once."""
    if t < _REBASE_DAYS - 1:
        return np.zeros(len(scale), np.bool_)
    recent = residuals[t - _REBASE_DAYS + 1 : t + 1]
    reach = _REBASE_SIGMA * scale
    return np.asarray((recent.min(axis=0) > reach) | (recent.max(axis=0) < -reach))


def _take_out_shared(states: _States, usable: Bools) -> None:
    """On days that many series share, move q towards the forecast by their median move, in place."""
    surprise = states.q - states.forecast
    for side, scale in ((1.0, states.scale_up), (-1.0, states.scale_down)):
        beyond = usable & (surprise * side > _SHARED_SIGMA * scale)
        least = np.maximum(_SHARED_LEAST, _SHARED_SHARE * usable.sum(axis=1))
        for t in np.flatnonzero(beyond.sum(axis=1) >= least):
            moved = side * surprise[t] / scale[t]
            shared = max(float(np.median(moved[usable[t]])), 0.0)
            states.q[t] -= side * scale[t] * np.clip(moved, 0.0, shared)


def _take_out_shared_windows(measured: Block, usable: Bools) -> None:
    """Take the median of all series out of each day's rises or falls [columns, T], in place.

    The median is shrunk by what it would be by chance, so that nothing is taken out of series that only look
    alike on a day; what one series does beyond the others stays.
    """
    count = usable.sum(axis=0)
    ordered = np.sort(np.where(usable, measured, np.inf).T, axis=1)
    median = ordered[np.arange(len(count)), np.maximum(count - 1, 0) // 2]
    median[count < SHARED_SERIES] = 0.0
    np.maximum(median, 0.0, out=median)
    chance = _SHARED_ERRORS**2 / np.maximum(count, 1)
    shared = median * np.maximum(1.0 - chance / np.maximum(median * median, _TINY), 0.0)
    measured -= np.clip(measured, 0.0, shared.astype(np.float32))
    measured *= _SHARED_GAIN


def _warm_up(
    filled: Floats, known: Bools, first: Indices, weekday: Indices, month_edge: Bools, warm_shift: Floats
) -> tuple[Indices, Bools, _States]:
    """The first 28 days of every series again, by a pass that knows only their own past: (rows [28, n],
    which of them exist, states). The main pass has its shift from the 28 days as a whole."""
    days, n = filled.shape
    columns = np.arange(n)
    ahead = first[None, :] + np.arange(min(_WARM_UP_DAYS, days))[:, None]
    at = np.minimum(ahead, days - 1)
    warm = _run_states(
        filled[at, columns], known[at, columns], np.zeros(n, np.int64), weekday[at], month_edge[at], warm_shift
    )
    return at, ahead < days, warm


def _overwrite_warm_up(
    states: _States, warm: _States, cells: tuple[Indices, Bools], shifts: tuple[Floats, Floats]
) -> Block:
    """Put the warm-up's own pass in place. Returns the shift of each cell, [columns, T]."""
    at, inside = cells  # [columns, 28]
    cols, days = np.broadcast_to(np.arange(len(at))[:, None], at.shape)[inside], at[inside]
    for f in fields(states):
        getattr(states, f.name)[cols, days] = getattr(warm, f.name)[inside]
    shift, warm_shift = shifts
    out = np.broadcast_to(shift[:, None].astype(np.float32), states.q.shape).copy()
    out[cols, days] = warm_shift[cols]
    return out


def _rise_of_day(surprise: Block, scale_up: Block, expected: Block, level: Block, existing: Bools) -> Block:
    """The geometric mean of the rise in log deviations and in dollar deviations.

    Of a rise, the dollars that were missing on the two days before, beyond one deviation, are taken off: a
    charge that comes a day late is no more spend. Noise is rarely quite proportional to the level of the
    weekday nor quite independent of it; the mean of both scales has the fewer false alerts on real series. The
    dollar deviation is the root mean square of the rises of the past year, winsorised, over the level.
    """
    rise = np.expm1(np.minimum(surprise, 4.0)) * expected
    missing = np.maximum(-rise - scale_up * expected, 0.0)
    rise[:, 1:] -= missing[:, :-1]
    rise[:, 2:] -= missing[:, :-2]
    np.maximum(rise, 0.0, out=rise)
    rise /= expected
    weight = expected * np.exp(-level)
    kept = np.minimum(rise, np.expm1(3.0 * scale_up)) * weight
    is_up = (kept > 0) & existing
    total, count = _past_year(kept * kept), _past_year(is_up.astype(np.float32))
    spread = np.sqrt((5.0 * 0.04 + total) / (5.0 + count))
    weight *= rise
    weight /= np.maximum(spread, _SCALE_FLOOR_POINT)
    weight *= np.log1p(rise, out=rise)
    weight /= scale_up
    return np.sqrt(weight, out=weight)


def _past_year(values: Block | Bools) -> Block:
    """Sums over the 365 days before each day, the day itself not included."""
    out = np.zeros(values.shape, np.float32)
    np.cumsum(values[:, :-1], axis=1, out=out[:, 1:])
    if values.shape[1] > _YEAR + 1:
        out[:, _YEAR + 1 :] -= out[:, 1:-_YEAR].copy()
    return out


def _running_sum(values: Block) -> Block:
    return np.cumsum(values, axis=1, out=values)


def _two_days_running(values: Block) -> Block:
    """The smaller of a day and the day before it: a low last day alone may be an incomplete one."""
    out = values.copy()
    out[:, 0] = 0.0
    np.minimum(values[:, 1:], values[:, :-1], out=out[:, 1:])
    return out


def _against_record(z: Block, limit: float) -> Block:
    """z over its limit, which rises to a third of the series' own record (half-life 120 days)."""
    days, delay = z.shape[1], _RECORD_DELAY
    out = z / limit
    if days <= delay:
        return out
    growth = (2.0 ** (np.arange(days) / _RECORD_HALF_LIFE)).astype(np.float32)
    record = z[:, :-delay] * growth[:-delay]
    np.maximum.accumulate(record, axis=1, out=record)
    record *= _RECORD_SHARE / growth[delay:]
    np.divide(z[:, delay:], np.maximum(record, limit, out=record), out=out[:, delay:])
    return out


@dataclass(frozen=True)
class _Windows:
    """Running sums [columns, T] of winsorised soft dollars and of seasonal factors, and what their error needs."""

    observed: Block
    season: Block
    level: Block
    day_variance: Block
    is_high: Bools  # the day itself is not low: a window does not alert on an incomplete last day
    age: Indices  # [columns, T], or [1, T] when all begin on one day
    counted: Block | None  # days that are not idle, where some are

    def measure(self, *, days: int, lag: int, with_fall: bool = False) -> tuple[Block, Block]:
        """The last `days` against the level as it stood `lag` days ago, in deviations: rises, and falls (as
        positive numbers; zeros unless asked for).

        The error is blended from the model's and from the mean square of the same measure on its side in
        the past year, known `lag` days later (so that an event does not excuse itself).
        """
        total = self.observed.shape[1]
        rise, fall = np.zeros(self.observed.shape, np.float32), np.zeros(self.observed.shape, np.float32)
        if total <= lag + days:
            return rise, fall
        # Column k of the arrays below is day lag + k; the level of column k + 1 has seen day k, no later one.
        paid = self.observed[:, lag:] - self.observed[:, lag - days : -days]
        due = self.season[:, lag:] - self.season[:, lag - days : -days]
        np.maximum(due, _TINY, out=due)
        np.maximum(paid, _TINY, out=paid)
        paid /= due
        excess = np.log(paid, out=paid)
        excess -= self.level[:, 1 : total - lag + 1]
        excess *= self.age[:, lag:] >= max(_WARM_UP_DAYS, days + lag)
        # A young level is a mean of few days, and a young scale a guess.
        age = self.age[:, lag:].astype(np.float32)
        single: float | Block = 1.0 / days
        if self.counted is not None:
            counted = self.counted[:, lag:] - self.counted[:, lag - days : -days]
            excess *= counted >= 2
            single = 1.0 / np.maximum(counted, 1.0)
        error = single + np.maximum(0.02, 1.0 / np.maximum(age - lag, 1.0))
        error *= 1.0 + _YOUNG_SCALE / (np.maximum(age - _WARM_UP_DAYS, 0.0) + _YOUNG_SCALE)
        variance = self.day_variance[:, 1 : total - lag + 1] * error
        variance += _LEVEL_WALK**2 * lag
        square = np.minimum(excess * excess, 16.0 * variance)
        np.multiply(excess, _inverse_error(square, excess > 0, variance, lag), out=rise[:, lag:])
        if with_fall:
            np.multiply(excess, _inverse_error(square, excess < 0, variance, lag), out=fall[:, lag:])
            np.negative(fall, out=fall)
        return rise, fall


def _sum_windows(states: _States, known: Bools, counted: Bools, age: Indices) -> _Windows:
    # One side's scale for both: outages widen the other, and must not hide a rise.
    spread = np.maximum(states.scale_up, _SCALE_FLOOR_STATE)
    residual = states.q - states.base
    residual *= known
    is_high = residual > -spread
    np.maximum(residual, -_WINDOW_CLIP_LOW * spread, out=residual)
    np.minimum(residual, _WINDOW_CLIP_HIGH * spread, out=residual)
    factor = np.exp(states.base)
    factor *= counted
    season = factor * np.exp(-states.level)
    spread *= spread
    spread *= 1.0 + states.rho
    spread /= 1.0 - states.rho
    factor *= np.exp(residual, out=residual)
    days = None if counted.all() else _running_sum(counted.astype(np.float32))
    return _Windows(_running_sum(factor), _running_sum(season), states.level, spread, is_high, age, days)


def _inverse_error(square: Block, on_side: Bools, variance: Block, lag: int) -> Block:
    blended = variance.copy()
    length = blended.shape[1] - lag + 1
    if length > 0:
        # Days of one window overlap: their count is worth 1/lag of as many independent ones.
        tail = blended[:, lag - 1 :]
        tail += _past_year(square * on_side)[:, :length] / (lag * _PRIOR_WEIGHT)
        count = _past_year(on_side)[:, :length]
        count /= lag * _PRIOR_WEIGHT
        count += 1.0
        tail /= count
    np.maximum(blended, 0.7 * variance, out=blended)
    np.sqrt(blended, out=blended)
    return np.divide(1.0, blended, out=blended)


def _judge_idle_runs(is_off: Bools, filled: Block, known: Bools) -> Block:
    """Minus log10 of the chance of so long a run of days without cost, over the limit: by the share of the past
    year's days that had one."""
    paid = (_past_year((filled > 0) & known) + 1.0) / (_past_year(known) + 2.0)
    index = np.arange(is_off.shape[1], dtype=np.float32)
    run = index - np.maximum.accumulate(np.where(is_off, np.float32(-1.0), index), axis=1)
    return np.asarray(-run * np.log10(1.0 - paid) / _OFF_CHANCE)


def _off_runs(is_off: Bools) -> Block:
    """Length of the current run of off days over 1.5 times the longest finished run so far."""
    if not is_off.any():
        return np.zeros(is_off.shape)
    index = np.arange(is_off.shape[1], dtype=np.float32)
    last_on = np.maximum.accumulate(np.where(is_off, -1.0, index), axis=1)
    run = np.where(is_off, index - last_on, 0.0)
    ended = np.zeros_like(run)
    ended[:, 1:] = np.where(is_off[:, 1:], 0.0, run[:, :-1])
    growth = np.float32(0.998) ** (-index)
    record = np.maximum(np.maximum.accumulate(ended * growth, axis=1) / growth, _OFF_RECORD)
    return np.where(run >= 2, run / (1.5 * record), 0.0)
