"""Units: which, pooled how, trusted how much."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.breaks import find_breaks
from alerts.model import FeaturePanel
from alerts.unit_costs import UnitCosts, measure_outcome_coverage, measure_unit_costs, steady_unit_costs
from tests.alerts.breaks.worlds import START, draw_cost, make_panel, with_neighbours

Floats = NDArray[np.float64]
DAYS = 60


def measure(cost: Floats, **telemetry: Floats) -> UnitCosts:
    panel = make_panel({"chat": cost}, **{name: {"chat": series} for name, series in telemetry.items()})
    return measure_unit_costs(panel)


def test_the_best_known_unit() -> None:
    cost, many = np.full(DAYS, 90.0), np.full(DAYS, 300.0)
    good = np.full(DAYS, 180.0)
    assert measure(cost).units == ("",)
    by_call = measure(cost, calls=2 * many)
    assert (by_call.units, by_call.usd[0, 0]) == (("call",), 0.15)
    by_task = measure(cost, calls=2 * many, tasks=many)
    assert (by_task.units, by_task.usd[0, 0]) == (("task",), 0.3)
    by_success = measure(cost, calls=2 * many, tasks=many, successful_tasks=good)
    assert (by_success.units, by_success.usd[0, 0]) == (("successful_task",), 0.5)
    few_outcomes = np.where(np.arange(DAYS) < 40, np.nan, good)
    assert measure(cost, tasks=many, successful_tasks=few_outcomes).units == ("task",)


def test_fine_tuning_costs_no_task_anything() -> None:
    cost, tasks = draw_cost(90), {"chat": np.full(90, 300.0)}
    tuned = cost + np.where(np.arange(90) >= 84, 400.0, 0.0)
    serving = with_neighbours(cost)
    panel = make_panel(with_neighbours(tuned), serving_cost_usd=serving, tasks=tasks)
    assert measure_unit_costs(panel).usd[0, 85] == pytest.approx(cost[85] / 300)
    (found,) = find_breaks(panel, [])
    assert (found.node, found.kind) == ("chat", "cost")
    assert next(told for told in found.evidence if told.unit == "usd_per_task").actual < 2


def test_days_with_few_tasks_are_pooled_with_those_before() -> None:
    cost, tasks = np.arange(DAYS, dtype=np.float64), np.full(DAYS, 12.0)
    tasks[30] = 40.0
    units = measure(cost, tasks=tasks)
    assert np.isnan(units.usd[0, :2]).all()
    assert units.usd[0, 10] == (10 + 9 + 8) / 36
    assert units.tasks[0, 10] == 36
    assert units.usd[0, 30] == 30 / 40
    assert units.done[0, 10] == 12


def test_a_week_is_the_most_that_is_pooled() -> None:
    units = measure(np.full(DAYS, 5.0), tasks=np.full(DAYS, 4.0))
    assert np.isnan(units.usd).all()


def test_unsettled_days_are_unknown() -> None:
    good = np.full(DAYS, 50.0)
    good[-3:] = np.nan
    units = measure(np.full(DAYS, 5.0), tasks=np.full(DAYS, 60.0), successful_tasks=good)
    assert np.isnan(units.usd[0, -3:]).all()
    assert np.isfinite(units.usd[0, :-3]).all()


def test_no_success_at_all() -> None:
    tasks, good = np.full(DAYS, 40.0), np.full(DAYS, 30.0)
    good[50:52] = 0.0
    units = measure(np.full(DAYS, 5.0), tasks=tasks, successful_tasks=good)
    assert np.flatnonzero(units.is_zero[0]).tolist() == [50, 51]
    assert np.isnan(units.usd[0, 50])
    # Of a feature that hardly ever succeeds, a day without success says nothing.
    rare = np.where(np.arange(DAYS) % 3 == 0, 1.0, 0.0)
    assert not measure(np.full(DAYS, 5.0), tasks=tasks, successful_tasks=rare).is_zero.any()


def test_a_day_of_few_tasks_is_trusted_less() -> None:
    rng = np.random.default_rng(2)
    tasks = np.full(DAYS, 900.0)
    tasks[55:57] = 31.0
    cost = tasks * 0.2 * np.exp(rng.normal(0, 0.02, DAYS))
    cost[55:57] *= 1.6
    units = measure(cost, tasks=tasks)
    assert units.precision[0, 10] == 1.0
    assert units.precision[0, 55] < 0.1
    steady = steady_unit_costs(units, START)
    assert steady[0, 20] == pytest.approx(units.usd[0, 20])
    assert 0.2 < steady[0, 55] < 0.24


class TestOutcomesThatAreNotReported:
    """No outcome is unknown, never a failure."""

    def panel(self, told_share: Floats, *, success: float | Floats = 0.8, tasks: float = 400.0) -> FeaturePanel:
        days = len(told_share)
        work = np.round(np.full(days, tasks) * np.exp(np.random.default_rng(3).normal(0, 0.05, days)))
        told = np.round(work * told_share)
        return make_panel(
            with_neighbours(draw_cost(days, weekend=1.0)),
            tasks={"chat": work},
            successful_tasks={"chat": np.round(told * success)},
            tasks_with_outcome={"chat": told},
        )

    def test_half_of_the_reports_missing_is_no_break_of_the_unit_cost(self) -> None:
        share = np.full(120, 0.95)
        share[-5:] = 0.45
        panel = self.panel(share)
        assert find_breaks(panel, []) == []
        units = measure_unit_costs(panel)
        assert np.isnan(units.usd[0, -5:]).all()
        assert np.isfinite(units.usd[0, 30:-5]).all()
        coverage = measure_outcome_coverage(panel)
        assert coverage.has_fallen[0, -5:].all()
        assert not coverage.has_fallen[0, :-5].any()
        assert coverage.usual[0, -1] == pytest.approx(0.95, abs=0.01)

    def test_a_new_level_of_reporting_makes_no_step(self) -> None:
        share = np.full(160, 0.95)
        share[-60:] = 0.5
        panel = self.panel(share)
        assert find_breaks(panel, []) == []
        units = measure_unit_costs(panel)
        assert np.isfinite(units.usd[0, -5:]).all()  # the new level is the usual one by now
        before, after = np.nanmean(units.usd[0, 40:100]), np.nanmean(units.usd[0, -20:])
        assert after / before == pytest.approx(1.1, abs=0.1)  # what the costs themselves have grown

    def test_tasks_that_fail_and_say_so_are_a_break(self) -> None:
        success = np.full(120, 0.8)
        success[-5:] = 0.4
        (found,) = find_breaks(self.panel(np.full(120, 0.9), success=success), [])
        assert (found.node, found.kind, found.label) == ("chat", "unit_cost", "efficiency")
        rates = {row.metric: row for row in found.evidence}
        good, told = rates["successful_tasks"], rates["tasks_with_outcome"]
        assert float(good.actual / told.actual) == pytest.approx(0.4, abs=0.02)
        assert float(good.expected / told.expected) == pytest.approx(0.8, abs=0.02)

    def test_few_reports_without_a_success_are_not_zero_success(self) -> None:
        share = np.full(90, 0.95)
        share[-3:] = 0.02
        success = np.full(90, 0.8)
        success[-3:] = 0.0
        panel = self.panel(share, success=success)
        assert not measure_unit_costs(panel).is_zero.any()
