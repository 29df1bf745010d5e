"""Cost per unit of work of every feature, as series that can be scored.

A unit is a successful task where outcomes are known, else a task, else a call. The variance of a unit
cost is that of a day plus that of a task over the number of tasks: days with few tasks are pooled, and
what remains of the difference is taken out before scoring.
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


@dataclass(frozen=True)
class UnitCosts:
    """Cost per unit of work, all arrays [n, T], NaN where it cannot be said.

    `usd`: per unit, after pooling. `tasks`: tasks behind each figure. `done`: units of the day itself,
    successful ones where outcomes are known. `precision`: weight of a day's figure, 1 for the usual number
    of tasks or more. `is_zero`: work was paid, its outcomes are settled, and none succeeded though some
    nearly certainly would have. `units` [n]: "successful_task", "task", "call", or "" without telemetry.
    """

    usd: Floats
    tasks: Floats
    done: Floats
    precision: Floats
    is_zero: Bools
    units: tuple[str, ...]


def measure_unit_costs(panel: FeaturePanel, cost: Floats) -> UnitCosts:
    """Cost per successful task where outcomes are known for 28 days, else per task, else per call.

    `cost` [n, T]: the panel's, as scored. Days with fewer than 30 tasks are pooled with those before them,
    up to a week; then they are unknown. Days without settled outcomes are unknown.
    """
    n, days = cost.shape
    usd, tasks, done = (np.full((n, days), np.nan) for _ in range(3))
    is_zero = np.zeros((n, days), np.bool_)
    names: list[str] = []
    for row in range(n):
        work, good, name = _choose_unit(panel, row)
        names.append(name)
        if not name:
            continue
        known = np.isfinite(good) & np.isfinite(work) & np.isfinite(cost[row])
        single = [np.where(known, series, 0.0) for series in (cost[row], work, good)]
        paid, worked, finished = (series.copy() for series in single)
        for back in range(1, _MOST_POOLED_DAYS):
            few = worked < _MIN_TASKS
            if not few[known].any():
                break
            for pooled, own in zip((paid, worked, finished), single, strict=True):
                pooled[back:] += np.where(few[back:], own[:-back], 0.0)
        some = known & (worked >= _MIN_TASKS) & (finished > 0)
        usd[row, some] = paid[some] / finished[some]
        tasks[row, some] = worked[some]
        done[row, known] = single[2][known]
        if name == "successful_task":
            is_zero[row] = known & (paid > 0) & (finished == 0) & _is_unlikely(worked, single[1], single[2])
    return UnitCosts(usd, tasks, done, _weigh_days(tasks), is_zero, tuple(names))


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


def _choose_unit(panel: FeaturePanel, row: int) -> tuple[Floats, Floats, str]:
    """(work, finished work, unit) of one feature."""
    tasks, good, calls = panel.tasks[row], panel.successful_tasks[row], panel.calls[row]
    for work, finished, name in ((tasks, good, "successful_task"), (tasks, tasks, "task"), (calls, calls, "call")):
        known = np.isfinite(finished) & np.isfinite(work)
        if known.sum() >= _LEAST_KNOWN_DAYS and finished[known].sum() > 0:
            return work, finished, name
    return tasks, tasks, ""


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
