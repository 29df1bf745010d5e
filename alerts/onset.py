"""When a break began, how large it is, and what would have been without it.

An alarm says that something changed; it comes days after the change, and the scorer's own baseline
then begins to follow it. Here the last months are fitted once more, looking back: log level, weekday,
month edge and a slow trend, plus the one step or drift that explains the alarm best. What remains
without that step is the expectation, which therefore does not chase the break.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from alerts.detect import read_calendar
from alerts.model import Floats

_WINDOW_DAYS = 120
_BACK_DAYS = 28  # an alarm comes at most this long after the onset
_ENDED_DAYS = 10
_PRIOR_WEEKDAY = 0.5
_PRIOR_EDGE = 0.15
_PRIOR_TREND = 0.15  # per 100 days
_PRIOR_EARLIER = 1.0
_NOISE_FLOOR = 0.02
_CORRELATION = 1.3  # of neighbouring days: widens the error of a mean of several
_OUTLIER = 3.5
_MIN_DAYS_BEFORE = 14
_SHARE_OF_SIZE = 0.33
_PLATEAUS = (14, 21)  # days after which a drift may stop


@dataclass(frozen=True)
class Shift:
    """A step (constant factor) or a drift (factor that grows daily). Indices are columns of y.

    `size`: log factor, over the step, or at the end of the drift. `noise`: daily standard deviation of
    the log without the break. `expected`, `lower`, `upper` [T]: what would have been without the break,
    in the unit of y, with the range that holds 95% of single days; NaN before the window that was read.
    """

    onset: int
    end: int
    shape: Literal["step", "drift"]
    size: float
    t_statistic: float
    noise: float
    is_return: bool  # back to the level from before an earlier, opposite break
    expected: Floats
    lower: Floats
    upper: Floats

    @property
    def reach_of_day(self) -> float:
        """Deviations from which a single day belongs to the break."""
        return max(1.64, _SHARE_OF_SIZE * abs(self.size) / self.noise)

    def is_calm(self, y: Floats, shift: float, *, since: int) -> bool:
        """Whether the days from `since` to its onset are as expected without it, on the whole."""
        calm = self.surprise(y, shift)[since : self.onset]
        calm = calm[np.isfinite(calm)] * np.sign(self.size)
        return bool(calm.size and calm.mean() < _SHARE_OF_SIZE * abs(self.size) / self.noise)

    def surprise(self, y: Floats, shift: float) -> Floats:
        """[T] standardised log distance from the expectation."""
        return (np.log(np.maximum(y, 0.0) + shift) - np.log(self.expected + shift)) / self.noise


def soft_shift(y: Floats, before: int) -> float:
    """c of log(y + c): keeps days near zero from counting as infinite falls. 2% of the usual day."""
    past = y[max(0, before - _WINDOW_DAYS) : before]
    past = past[np.isfinite(past)]
    usual = float(np.median(past)) if past.size else 0.0
    return max(0.02 * usual, 1e-9)


def fit_shift(
    y: Floats,
    *,
    start: date,
    through: int,
    first_alarm: int,
    direction: int,
    shift: float,
    precision: Floats | None = None,
    earlier: Sequence[tuple[int, int]] = (),
) -> Shift | None:
    """The change of `y` [T] that made the alarm of day `first_alarm`, read from days 0..`through`.

    `direction` +1 or -1. `shift`: see soft_shift. `precision` [T]: weight of each day, 1 the usual, 0
    unknown. `earlier`: (day, direction) of older level changes, which are no part of this one.
    Returns None when fewer than 14 days precede every possible onset, or no change has that direction.
    """
    days = len(y)
    known = np.isfinite(y)
    weight = np.where(known, 1.0 if precision is None else precision, 0.0)
    weight[through + 1 :] = 0.0
    first = int(np.argmax(known)) if known.any() else days
    begin = max(first, first_alarm - _WINDOW_DAYS)
    low = max(first_alarm - _BACK_DAYS, begin + _MIN_DAYS_BEFORE)
    # A change the other way ends the search: what comes after it cannot have begun before it.
    low = max([low, *(t + 1 for t, side in earlier if side == -direction and t < first_alarm)])
    if low > first_alarm:
        return None
    steps = sorted({t for t, _ in earlier if begin + 7 < t < low})

    q = np.log(np.maximum(np.where(known, y, 0.0), 0.0) + shift)
    base, penalty = _regressors(start, days, begin, first_alarm, steps)
    rows = slice(begin, days)
    x, target, w = base, q[rows], weight[rows]

    # Two rough passes over the days before every candidate: the noise, and outliers pulled in.
    before = w * (np.arange(begin, days) < low)
    noise = 0.1
    for _ in range(2):
        beta = _solve(x, target, before, penalty * noise**2)
        residual = target - x @ beta
        noise = _spread(residual[before > 0])
        target = np.where(before > 0, x @ beta + np.clip(residual, -_OUTLIER * noise, _OUTLIER * noise), target)

    columns, meaning = _shapes(days, begin, low, first_alarm, through)
    gram = (x * w[:, None]).T @ x + np.diag(penalty * noise**2)
    solved = np.linalg.solve(gram, (x * w[:, None]).T @ np.column_stack([target, columns]))
    clean = np.column_stack([target, columns]) - x @ solved
    power = np.einsum("ij,ij,i->j", columns, clean[:, 1:], w)
    cross = (columns * w[:, None]).T @ clean[:, 0]
    sizes = cross / np.maximum(power, 1e-12)
    gain = np.where(sizes * direction > 0, cross**2 / np.maximum(power, 1e-12), 0.0)
    gain = gain - np.array([6.0 * noise**2 if ended else 0.0 for *_, ended in meaning])
    best = int(np.argmax(gain))
    if gain[best] <= 0:
        return None
    onset, end, is_drift, _ = meaning[best]
    onset = onset + int(np.argmax(w[onset - begin :] > 0))  # unknown days before the first known one say nothing
    beta = solved[:, 0] - solved[:, 1 + best] * sizes[best]
    fitted = x @ beta
    residual = target - fitted - columns[:, best] * sizes[best]
    noise = _spread(residual[w > 0])

    at_end = float(sizes[best] * columns[end - begin, best])
    t_statistic = abs(float(sizes[best])) * float(np.sqrt(max(power[best], 1e-12))) / (noise * _CORRELATION)
    level_before = float(beta[_FIRST_EARLIER:].sum())
    is_return = (
        len(beta) > _FIRST_EARLIER
        and level_before * direction < 0
        and (abs(level_before + at_end) < 0.35 * abs(at_end))
    )
    expected = np.full(days, np.nan)
    expected[rows] = np.maximum(np.exp(fitted) - shift, 0.0)
    reach = np.exp(1.96 * noise)
    return Shift(
        onset=onset,
        end=end,
        shape="drift" if is_drift else "step",
        size=at_end,
        t_statistic=t_statistic,
        noise=noise,
        is_return=is_return,
        expected=expected,
        lower=np.maximum((expected + shift) / reach - shift, 0.0),
        upper=(expected + shift) * reach - shift,
    )


def find_last_day(shift: Shift, surprise: Floats, *, alarm: int, through: int, direction: int) -> int:
    """The last day of the break that was over its limit on day `alarm`.

    A day is over when it is beyond 1.64 deviations by itself, or the median of three is beyond 0.9 (and it
    beyond half of that), or beyond a third of the break's own size where that is more. Four days running
    that are not end the break. Unknown days (NaN of `surprise`, in deviations) say nothing.
    """
    alone, together = shift.reach_of_day, max(0.9, _SHARE_OF_SIZE * abs(shift.size) / shift.noise)
    z = np.asarray(surprise * direction)
    last, calm = alarm, 0
    for t in range(alarm + 1, through + 1):
        if not np.isfinite(z[t]):
            continue
        three = z[max(shift.onset, t - 2) : t + 1]
        three = three[np.isfinite(three)]
        if z[t] >= alone or (len(three) == 3 and z[t] >= 0.5 * together and float(np.median(three)) >= together):
            last, calm = t, 0
        else:
            calm += 1
            if calm == 4:
                break
    return last


_FIRST_EARLIER = 10


def _regressors(start: date, days: int, begin: int, center: int, earlier: list[int]) -> tuple[Floats, Floats]:
    """[days - begin, k]: one, trend, edge, seven weekdays, earlier steps; and 1/variance of their priors."""
    weekday, edge = read_calendar(start, days)
    t = np.arange(begin, days)
    columns: list[Floats] = [np.ones(len(t)), (t - center) / 100.0, edge[begin:].astype(np.float64)]
    columns += [(weekday[begin:] == d).astype(np.float64) for d in range(7)]
    columns += [(t >= e).astype(np.float64) for e in earlier]
    prior = np.array([1e3, _PRIOR_TREND, _PRIOR_EDGE, *[_PRIOR_WEEKDAY] * 7, *[_PRIOR_EARLIER] * len(earlier)])
    return np.column_stack(columns), 1.0 / prior**2


def _solve(x: Floats, target: Floats, weight: Floats, ridge: Floats) -> Floats:
    gram = (x * weight[:, None]).T @ x + np.diag(ridge)
    return np.asarray(np.linalg.solve(gram, (x * weight[:, None]).T @ target), dtype=np.float64)


def _spread(residual: Floats) -> float:
    """Robust, but not blind to a heavy tail: between the median deviation and the winsorised one."""
    if residual.size < 5:
        return 0.1
    mad = 1.4826 * float(np.median(np.abs(residual)))
    reach = 4.0 * max(mad, _NOISE_FLOOR)
    rms = float(np.sqrt(np.mean(np.clip(residual, -reach, reach) ** 2)))
    return max(0.5 * (mad + rms), _NOISE_FLOOR)


def _shapes(
    days: int, begin: int, low: int, first_alarm: int, through: int
) -> tuple[Floats, list[tuple[int, int, bool, bool]]]:
    """Candidate columns [days - begin, m] and for each (onset, end, is drift, has ended)."""
    t = np.arange(begin, days)
    columns: list[Floats] = []
    meaning: list[tuple[int, int, bool, bool]] = []
    ends = range(first_alarm, min(through, first_alarm + _ENDED_DAYS))
    for onset in range(low, first_alarm + 1):
        columns.append((t >= onset).astype(np.float64))
        meaning.append((onset, through, False, False))
        if through - onset >= 6:
            drift = np.maximum(t - onset + 1.0, 0.0) / 14.0
            columns.append(drift)
            meaning.append((onset, through, True, False))
            for days_up in _PLATEAUS:
                if through - onset >= days_up:
                    columns.append(np.minimum(drift, days_up / 14.0))
                    meaning.append((onset, through, True, False))
        for end in ends:
            columns.append(((t >= onset) & (t <= end)).astype(np.float64))
            meaning.append((onset, end, False, True))
    return np.column_stack(columns), meaning
