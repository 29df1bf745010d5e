"""Cost per unit of work of every feature, as series that can be scored.

A unit is a successful task where outcomes are known, else a task, else a call. The variance of a unit
cost is that of a day plus that of a task over the number of tasks: days with few tasks are pooled, and
what remains of the difference is taken out before scoring.

A task without an outcome is unknown, never a failure: successes are the day's tasks times the share of
successes among those with an outcome, times the feature's usual coverage (one constant: the figure is that of
the marts as long as reporting goes on as it did). Days on which the coverage has fallen say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from alerts.detect import score_panel
from alerts.model import FeaturePanel, Floats

Bools = NDArray[np.bool_]

NO_FLOOR = 1e-9  # a unit cost may be a fraction of a cent
_MIN_TASKS = 30
_MOST_POOLED_DAYS = 7
_LEAST_KNOWN_DAYS = 28
_DAY_VARIANCE = 0.03**2  # of the log unit cost, with any number of tasks
_TASK_VARIANCE = 1.2  # of the log unit cost of one task, with its chance to fail
_LEAST_ZERO_TASKS = 5
_ZERO_CHANCE = 1e-6
_COVERAGE_DAYS = 28  # of outcomes: what is usual
_COVERAGE_FALL = 0.9  # of the usual: below it reporting has fallen
_COVERAGE_SIGMA = 3.0


@dataclass(frozen=True)
class UnitCosts:
    """Cost per unit of work, all arrays [n, T], NaN where it cannot be said.

    `usd`: per unit, after pooling. `serving_usd`: what is divided, per day: the cost without training. `tasks`: tasks
    behind each figure. `done`: units of the day itself, successful ones where outcomes are known (estimated, see
    above). `precision`: weight of a day's figure, 1 for the usual number of tasks or more. `is_zero`: work was paid,
    its outcomes are settled, and none succeeded though some nearly certainly would have. `units` [n]:
    "successful_task", "task", "call", or "" without telemetry.
    """

    usd: Floats
    serving_usd: Floats
    tasks: Floats
    done: Floats
    precision: Floats
    is_zero: Bools
    units: tuple[str, ...]


def measure_unit_costs(panel: FeaturePanel) -> UnitCosts:
    """Cost per successful task where outcomes are known for 28 days, else per task, else per call.

    Days with fewer than 30 tasks are pooled with those before them,
    up to a week; then they are unknown. Days without settled outcomes are unknown.
    """
    cost = panel.serving_cost_usd
    n, days = cost.shape
    usd, tasks, done = (np.full((n, days), np.nan) for _ in range(3))
    is_zero = np.zeros((n, days), np.bool_)
    has_fallen = measure_outcome_coverage(panel).has_fallen
    names: list[str] = []
    for row in range(n):
        work, good, told, name = _choose_unit(panel, row)
        names.append(name)
        if not name:
            continue
        known = np.isfinite(good) & np.isfinite(work) & np.isfinite(cost[row]) & (told > 0)
        if name == "successful_task":
            known &= ~has_fallen[row]
        single = [np.where(known, series, 0.0) for series in (cost[row], work, good, told)]
        paid, worked, finished, answered = (series.copy() for series in single)
        for back in range(1, _MOST_POOLED_DAYS):
            few = worked < _MIN_TASKS
            if not few[known].any():
                break
            for pooled, own in zip((paid, worked, finished, answered), single, strict=True):
                pooled[back:] += np.where(few[back:], own[:-back], 0.0)
        usual = _median_share(single[3], single[1], known)
        some = known & (worked >= _MIN_TASKS) & (finished > 0)
        usd[row, some] = paid[some] / (worked[some] * finished[some] / answered[some] * usual)
        tasks[row, some] = worked[some]
        done[row, known] = single[1][known] * single[2][known] / single[3][known] * usual
        if name == "successful_task":
            is_zero[row] = known & (paid > 0) & (finished == 0) & _is_unlikely(answered, single[3], single[2])
    return UnitCosts(usd, cost, tasks, done, _weigh_days(tasks), is_zero, tuple(names))


def steady_unit_costs(units: UnitCosts, start: date) -> Floats:
    """[n, T] unit costs with the noise of every day brought to that of the usual day.

    The scorer knows one scale per series. Distances from its own (causal) expectation are shrunk by the root
    of the day's precision before they are scored.
    """
    if not np.isfinite(units.usd).any():
        return units.usd
    expected = score_panel(units.usd, start=start, unit_floor=NO_FLOOR).expected
    known = np.isfinite(units.usd) & (expected > 0)
    ratio = np.where(known, units.usd, 1.0) / np.where(known, expected, 1.0)
    steady = expected * np.maximum(ratio, 1e-6) ** np.sqrt(units.precision)
    return np.where(known, steady, units.usd)


@dataclass(frozen=True)
class OutcomeCoverage:
    """How many tasks have an outcome, [n, T], of settled days. `share`: 0 to 1, NaN without tasks. `usual`: median of
    the 28 days with tasks that ended a week before, NaN while there are none. `has_fallen`: the share is below nine
    tenths of the usual by more than chance; what is measured from outcomes then says nothing."""

    share: Floats
    usual: Floats
    has_fallen: Bools


def measure_outcome_coverage(panel: FeaturePanel) -> OutcomeCoverage:
    """Causal: a day's verdict depends on earlier days and itself. Features without a known outcome never fall."""
    told, tasks = panel.tasks_with_outcome, panel.tasks
    known = np.isfinite(told) & (np.nan_to_num(tasks) > 0)
    share = np.where(known, told / np.where(known, tasks, 1.0), np.nan)
    usual = np.full(share.shape, np.nan)
    for row in np.flatnonzero(known.any(axis=1)):
        days = np.flatnonzero(known[row])
        for place, t in enumerate(days):
            past = days[max(0, place - _COVERAGE_DAYS - 7) : place]
            past = past[past < t - 7] if (past < t - 7).any() else past
            if past.size:
                usual[row, t] = float(np.median(share[row, past]))
    counts = np.where(known, tasks, 0.0)
    expected = np.where(np.isfinite(usual), usual, 0.0)
    reach = _COVERAGE_SIGMA * np.sqrt(counts * expected * (1.0 - expected))
    has_fallen = known & (np.where(known, told, 0.0) < _COVERAGE_FALL * expected * counts - reach)
    return OutcomeCoverage(share, usual, has_fallen)


def _choose_unit(panel: FeaturePanel, row: int) -> tuple[Floats, Floats, Floats, str]:
    """(work, finished work, work whose outcome is known, unit) of one feature."""
    tasks, good, calls = panel.tasks[row], panel.successful_tasks[row], panel.calls[row]
    for work, finished, told, name in (
        (tasks, good, panel.tasks_with_outcome[row], "successful_task"),
        (tasks, tasks, tasks, "task"),
        (calls, calls, calls, "call"),
    ):
        known = np.isfinite(finished) & np.isfinite(work) & np.isfinite(told)
        if known.sum() >= _LEAST_KNOWN_DAYS and finished[known].sum() > 0:
            return work, finished, told, name
    return tasks, tasks, tasks, ""


def _median_share(part: Floats, whole: Floats, known: Bools) -> float:
    """Median of the newest 28 known days."""
    days = np.flatnonzero(known & (whole > 0))[-_COVERAGE_DAYS:]
    return float(np.median(part[days] / whole[days])) if days.size else 1.0


def _weigh_days(tasks: Floats) -> Floats:
    """Variance at the series' usual number of tasks over the variance at the day's, at most 1."""
    counts = np.where(np.isfinite(tasks), tasks, 0.0)
    usual = np.array([float(np.median(row[row > 0])) if (row > 0).any() else 1.0 for row in counts])[:, None]
    variance = _DAY_VARIANCE + _TASK_VARIANCE / np.maximum(counts, 1.0)
    return np.minimum((_DAY_VARIANCE + _TASK_VARIANCE / usual) / variance, 1.0)


def _is_unlikely(pooled_work: Floats, work: Floats, good: Floats) -> Bools:
    """Would no success in so many tasks have a chance below one in a million, at the success rate of the
    eight weeks that ended a week before?"""
    sums = [np.concatenate([[0.0], np.cumsum(series)]) for series in (work, good)]
    t = np.arange(len(work))
    late, early = np.maximum(t - 7, 0), np.maximum(t - 63, 0)
    rate = (sums[1][late] - sums[1][early]) / np.maximum(sums[0][late] - sums[0][early], 1.0)
    log_chance = pooled_work * np.log1p(-np.clip(rate, 0.0, 0.999))
    return np.asarray((pooled_work >= _LEAST_ZERO_TASKS) & (log_chance < np.log(_ZERO_CHANCE)))
