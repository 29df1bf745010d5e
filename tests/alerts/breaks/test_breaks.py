"""What is posted: which breaks, with what figures, and what is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.breaks import ALL_FEATURES, AcceptedLevel, DetectionSettings, ExpectedChange, find_breaks
from alerts.model import UNALLOCATED, Break, MemberSeries
from benchmarks.detection.posted import is_match, replay_clean
from benchmarks.detection.simulate import Company, draw_company
from tests.alerts.breaks.worlds import START, Shape, cut, draw_cost, make_panel, with_neighbours

Floats = NDArray[np.float64]
DAYS = 120
LABELS = {"retry storm": "efficiency", "slow drift": "efficiency", "idle GPU": "idle", "success drop": "efficiency"}


def day(break_day: int) -> date:
    return START + timedelta(days=break_day)


def find_in(cost: Floats, settings: DetectionSettings | None = None) -> list[Break]:
    return [b for b in find_breaks(make_panel(with_neighbours(cost)), [], settings) if b.node == "chat"]


class TestCompanies:
    """Seeds on which nothing was chosen; benchmarks/detection runs hundreds."""

    @pytest.mark.parametrize("seed", range(9000, 9010))
    def test_every_planted_break_is_found_and_nothing_else(self, seed: int) -> None:
        company = draw_company(seed)
        breaks = find_breaks(company.panel, company.members)
        for planted in company.planted:
            match = next(b for b in breaks if is_match(b, planted))
            assert match.label == LABELS.get(planted.story, match.label), planted.story
            breaks.remove(match)
        assert breaks == []

    @pytest.fixture(scope="class")
    @staticmethod
    def company() -> Company:
        return draw_company(9100)

    @pytest.fixture(scope="class")
    @staticmethod
    def breaks(company: Company) -> dict[str, Break]:
        return {b.node: b for b in find_breaks(company.panel, company.members)}

    def test_onsets(self, company: Company, breaks: dict[str, Break]) -> None:
        for planted in company.planted:
            away = abs((breaks[planted.node].onset - planted.onset).days)
            assert away <= (4 if planted.story == "slow drift" else 1), planted.story

    def test_all_go_on(self, breaks: dict[str, Break]) -> None:
        assert all(b.is_active for b in breaks.values())

    def test_the_new_key_is_the_driver(self, company: Company, breaks: dict[str, Break]) -> None:
        found = breaks[UNALLOCATED]
        assert found.drivers[0].member == "key_new"
        assert found.drivers[0].is_new
        assert found.drivers[0].first_seen == found.onset
        assert not any(driver.is_new for driver in found.drivers[1:])

    def test_figures_agree(self, company: Company, breaks: dict[str, Break]) -> None:
        for found in breaks.values():
            days = (found.last_day - found.onset).days + 1
            assert found.excess_usd_per_day == found.excess_usd_per_day.quantize(Decimal("0.01"))
            assert found.excess_usd_per_day > 0
            assert found.expected_lower_usd_per_day <= found.expected_usd_per_day <= found.expected_upper_usd_per_day
            assert abs(found.excess_usd_total - found.excess_usd_per_day * days) <= abs(found.excess_usd_total) / 4
            if found.kind == "cost":
                gap = found.actual_usd_per_day - found.expected_usd_per_day
                assert abs(gap - found.excess_usd_per_day) < Decimal("0.05") * abs(gap) + 1
            assert found.history_days == 120

    def test_evidence(self, breaks: dict[str, Break]) -> None:
        storm = {row.metric: row for row in breaks["retry"].evidence}
        assert storm["cost"].unit == "usd_per_day"
        assert storm["retries"].actual > 3 * storm["retries"].expected
        assert abs(storm["tasks"].actual / storm["tasks"].expected - 1) < Decimal("0.15")
        unit = next(row for row in breaks["unit"].evidence if row.unit == "usd_per_successful_task")
        assert unit.upper is not None
        assert unit.actual > unit.upper > unit.expected
        assert breaks["unit"].excess_percent > 25
        spend = breaks["unit"].evidence[0]
        assert spend.lower is not None
        assert spend.upper is not None
        assert spend.lower < spend.actual < spend.upper

    def test_the_expected_band_of_the_chart_does_not_chase_the_break(self, breaks: dict[str, Break]) -> None:
        for name in ("retry", "drift", "unit"):
            chart = breaks[name].chart
            assert chart is not None
            assert len(chart.actual) == len(chart.expected) == len(chart.lower) == len(chart.upper) == 90
            onset = (breaks[name].onset - chart.start).days
            week_before, last_week = chart.expected[onset - 7 : onset], chart.expected[-7:]
            assert np.nanmean(last_week) == pytest.approx(np.nanmean(week_before), rel=0.12)
            assert np.nanmean(chart.actual[-7:]) > np.nanmean(chart.upper[-7:])
            quiet = slice(onset - 42, onset)
            inside = (chart.actual[quiet] > chart.lower[quiet]) & (chart.actual[quiet] < chart.upper[quiet])
            assert inside.mean() > 0.85
        assert breaks["unit"].chart is not None
        assert breaks["unit"].chart.unit == "usd_per_successful_task"

    def test_inputs_are_left_alone(self, company: Company) -> None:
        before = company.panel.cost_usd.copy()
        find_breaks(company.panel, company.members)
        np.testing.assert_array_equal(company.panel.cost_usd, before)

    def test_the_same_input_gives_the_same_breaks(self, company: Company) -> None:
        assert find_breaks(company.panel, company.members) == find_breaks(company.panel, company.members)


@pytest.mark.parametrize(
    ("first", "second", "seed"), [([8], [3], 1), ([9, 8], [3], 1), ([10, 9, 8], [3, 2], 1), ([9, 8], [3], 119)]
)
def test_a_burst_within_a_week_of_another_has_days_of_its_own(first: list[int], second: list[int], seed: int) -> None:
    cost = draw_cost(DAYS, seed=seed)
    cost[[DAYS - back for back in first + second]] += 600 if seed == 119 else 400
    found = [one for one in find_breaks(make_panel(with_neighbours(cost)), []) if one.node == "chat"]
    ends = [[(DAYS - (day - START).days) for day in (one.onset, one.last_day)] for one in found]
    assert sorted(ends, reverse=True) == [[first[0], first[-1]], [second[0], second[-1]]]


class TestPostedInError:
    @pytest.mark.parametrize(("series", "replays"), [(5, 20), (120, 8)])  # make bench replays many more
    def test_at_most_two_a_month_whatever_the_number_of_series(self, series: int, replays: int) -> None:
        replay = replay_clean(series, 300, replays=replays)
        assert len(replay.posted) <= 2 * max(replay.months, 1)
        assert replay.lost == 0

    def test_the_budget_moves_the_limit(self) -> None:
        cost = draw_cost(DAYS, noise=0.1)
        cost[-1] *= 1.9
        strict = DetectionSettings(false_alerts_per_month=Decimal("0.01"))
        loose = DetectionSettings(false_alerts_per_month=Decimal("20"))
        assert find_in(cost, strict) == []
        assert len(find_in(cost, loose)) == 1


class TestLife:
    """Daily runs over one story: (days since the onset) → what is returned for the feature."""

    @staticmethod
    def live(shape: Shape, days_after: int, *, step: int = 1, noise: float = 0.08) -> dict[int, list[Break]]:
        onset, days = 120, 120 + days_after
        cost = draw_cost(days, noise=noise) * shape(np.arange(days) - float(onset))
        panel = make_panel(with_neighbours(cost))
        return {
            end - 1 - onset: [b for b in find_breaks(cut(panel, end), []) if b.node == "chat"]
            for end in range(onset - 3, days + 1, step)
        }

    def test_a_storm_of_two_weeks(self) -> None:
        runs = self.live(lambda k: np.where((k >= 0) & (k < 14), 2.0, 1.0), 26)
        for k, found in runs.items():
            if k < 0 or k > 20:
                assert found == [], k
            else:
                assert [b.direction for b in found] == ["up"], k
                assert found[0].onset == day(120)
                assert found[0].is_active == (k < 14)
                assert found[0].last_day == day(120 + min(k, 13))

    def test_a_level_that_stays_is_returned_for_weeks_and_then_is_the_level(self) -> None:
        runs = self.live(lambda k: np.where(k >= 0, 1.5, 1.0), 80, step=5)
        assert all(len(found) == 1 and found[0].is_active for k, found in runs.items() if 2 <= k <= 35)
        assert runs[max(runs)] == []

    def test_an_outage_and_its_end(self) -> None:
        runs = self.live(lambda k: np.where((k >= 0) & (k < 12), 0.0, 1.0), 24, step=3)
        assert {b.direction for found in runs.values() for b in found} == {"down"}
        assert any(runs.values())

    def test_a_drift_goes_on(self) -> None:
        runs = self.live(lambda k: 1.025 ** np.clip(k + 1, 0, 21), 27, step=4)
        found = [k for k, breaks in runs.items() if breaks]
        assert found[0] <= 14
        assert all(runs[k][0].is_active for k in found)
        assert abs((runs[max(found)][0].onset - START).days - 120) <= 5

    def test_one_day(self) -> None:
        runs = self.live(lambda k: np.where(k == 0, 3.0, 1.0), 12)
        assert all(len(runs[k]) == 1 and runs[k][0].last_day == day(120) for k in range(8))
        assert not any(runs[k] for k in (-3, -2, -1, 8, 9, 10))


class TestGates:
    def test_dollars(self) -> None:
        cost = draw_cost(DAYS, level=12.0)
        cost[-4:] *= 2
        assert find_in(cost) == []
        assert len(find_in(cost, DetectionSettings(min_usd_per_day=Decimal("5")))) == 1

    def test_half_the_dollars_do_when_it_lasts(self) -> None:
        cost = draw_cost(DAYS, level=20.0, noise=0.04, weekend=1.0)
        cost[-3:] *= 1.7
        assert find_in(cost) == []
        cost = draw_cost(DAYS, level=20.0, noise=0.04, weekend=1.0)
        cost[-9:] *= 1.7
        assert len(find_in(cost)) == 1

    def test_percent(self) -> None:
        cost = draw_cost(DAYS, level=5000.0, noise=0.015)
        cost[-10:] *= 1.12
        assert find_in(cost) == []
        assert len(find_in(cost, DetectionSettings(min_percent=Decimal("8")))) == 1

    def test_a_limit_raised_after_false_alarms(self) -> None:
        cost = draw_cost(DAYS, noise=0.07)
        cost[-1] *= 1.7
        assert len(find_in(cost)) == 1
        assert find_in(cost, DetectionSettings(limit_factors={("chat", "cost", "up"): 2.0})) == []
        for other in (("chat", "cost", "down"), ("chat", "unit_cost", "up"), ("quiet_1", "cost", "up")):
            assert len(find_in(cost, DetectionSettings(limit_factors={other: 2.0}))) == 1

    def test_an_announced_change(self) -> None:
        cost = draw_cost(DAYS)
        cost[-5:] *= 2
        onset = START + timedelta(days=DAYS - 5)

        def find_with(change: ExpectedChange) -> list[Break]:
            return find_in(cost, DetectionSettings(expected_changes={"chat": [change]}))

        assert find_with(ExpectedChange(onset, onset + timedelta(days=1), 0.6)) == []
        assert find_with(ExpectedChange(onset - timedelta(days=20), onset, 0.6)) == []  # a long migration
        early = onset - timedelta(days=9)
        for too_little in (
            ExpectedChange(early, early + timedelta(days=1), 0.6),  # another day
            ExpectedChange(onset, onset + timedelta(days=1), 0.2),  # a fifth was announced, it doubled
            ExpectedChange(onset, onset + timedelta(days=1), -0.6),  # a saving was announced
        ):
            assert len(find_with(too_little)) == 1

    def test_what_was_called_expected_is_a_level_and_its_recurrence_is_muted(self) -> None:
        cost = draw_cost(DAYS + 40)
        cost[-45:-39] *= 2
        (first,) = find_in(cost[:-39])
        taught = AcceptedLevel(
            first.onset, first.direction, "cost", first.expected_usd_per_day, first.excess_usd_per_day
        )
        settings = DetectionSettings(accepted_levels={"chat": [taught]})
        assert find_in(cost[:-39], settings) == []
        cost[-4:] *= 2  # the same again
        assert len(find_in(cost)) == 1
        assert find_in(cost, settings) == []
        cost[-4:] *= 1.5  # and now three times as much
        assert len(find_in(cost, settings)) == 1

    def test_a_further_rise_is_measured_from_the_level_that_was_accepted(self) -> None:
        cost = draw_cost(DAYS + 40)
        cost[-45:] *= 2
        (first,) = find_in(cost[:-39])
        taught = AcceptedLevel(
            first.onset, first.direction, "cost", first.expected_usd_per_day, first.excess_usd_per_day
        )
        cost[-5:] *= 1.8
        (found,) = find_in(cost, DetectionSettings(accepted_levels={"chat": [taught]}))
        assert float(found.excess_percent) == pytest.approx(80, abs=15)


class TestUnitCost:
    @staticmethod
    def make(tasks_per_day: float, *, good_after: float, days_after: int, settle_days: int = 1) -> list[Break]:
        rng = np.random.default_rng(8)
        cost = draw_cost(DAYS, level=400.0)
        tasks = np.round(cost / 400.0 * tasks_per_day)
        rate = np.where(np.arange(DAYS) >= DAYS - days_after, good_after, 0.9)
        good = rng.binomial(tasks.astype(int), rate).astype(float)
        good[DAYS - settle_days :] = np.nan
        panel = make_panel(
            with_neighbours(cost), tasks={"chat": tasks}, successful_tasks={"chat": good}, calls={"chat": 2 * tasks}
        )
        return [b for b in find_breaks(panel, []) if b.node == "chat"]

    def test_success_drops(self) -> None:
        (found,) = self.make(800, good_after=0.6, days_after=9)
        assert (found.kind, found.label, found.direction) == ("unit_cost", "efficiency", "up")
        assert found.onset == day(DAYS - 9)
        assert found.is_active
        assert found.last_day == day(DAYS - 2)
        assert 40 < found.excess_percent < 62
        # Excess = cost − tasks × expected unit cost: a third of the spend.
        assert abs(found.excess_usd_per_day / found.actual_usd_per_day - Decimal(1) / 3) < Decimal("0.07")

    def test_few_tasks_are_pooled(self) -> None:
        (found,) = self.make(22, good_after=0.45, days_after=14)
        assert found.kind == "unit_cost"

    def test_few_tasks_are_not_trusted(self) -> None:
        assert self.make(12, good_after=0.9, days_after=1) == []

    def test_nothing_before_outcomes_settle(self) -> None:
        assert self.make(800, good_after=0.3, days_after=5, settle_days=5) == []

    def test_no_success_at_all_is_a_kind_of_its_own(self) -> None:
        (found,) = self.make(300, good_after=0.0, days_after=3)
        assert found.kind == "zero_success"
        assert found.onset == day(DAYS - 3)
        assert found.excess_usd_per_day == pytest.approx(found.actual_usd_per_day, rel=Decimal("0.01"))
        assert found.chart is not None
        failed, usual = found.chart.actual[-3:-1], found.chart.actual[:-3]  # outcomes of the last day have not settled
        assert failed.mean() == pytest.approx(float(found.excess_usd_per_day), rel=0.01)
        assert failed.min() > found.chart.upper[-1] > usual.mean()

    def test_a_unit_cost_that_falls_is_no_incident(self) -> None:
        rng = np.random.default_rng(8)
        cost = draw_cost(DAYS, level=400.0)
        tasks = np.round(cost * 2)
        rate = np.where(np.arange(DAYS) >= DAYS - 9, 0.95, 0.5)
        good = rng.binomial(tasks.astype(int), rate).astype(float)
        panel = make_panel(with_neighbours(cost), tasks={"chat": tasks}, successful_tasks={"chat": good})
        assert find_breaks(panel, []) == []


class TestUnallocated:
    def test_an_account_that_a_feature_had_before_is_no_new_one(self) -> None:
        spent = np.zeros(DAYS)
        spent[-4:] = 80.0
        costs = {UNALLOCATED: spent, **with_neighbours(draw_cost(DAYS))}
        members = [
            MemberSeries(UNALLOCATED, "sub_account_id", "1234", spent),
            MemberSeries(UNALLOCATED, "service_name", "Forecaster", spent),
            MemberSeries("chat", "sub_account_id", "1234", costs["chat"]),
            MemberSeries("chat", "service_name", "Forecaster", spent),
        ]
        [found] = [one for one in find_breaks(make_panel(costs), members) if one.node == UNALLOCATED]
        assert {driver.dimension: driver.is_new for driver in found.drivers} == {
            "sub_account_id": False, "service_name": True,
        }  # fmt: skip

    @staticmethod
    def find(total: Floats, members: dict[str, Floats], dimension: str = "api_key_id") -> list[Break]:
        costs = {UNALLOCATED: total, **with_neighbours(draw_cost(DAYS))}
        series = [MemberSeries(UNALLOCATED, dimension, name, cost) for name, cost in members.items()]
        return [b for b in find_breaks(make_panel(costs), series) if b.node == UNALLOCATED]

    @staticmethod
    def from_day(first: int, usd: float) -> Floats:
        return np.where(np.arange(DAYS) >= first, usd, 0.0)

    def test_the_first_ever(self) -> None:
        new = self.from_day(DAYS - 4, 90.0)
        (found,) = self.find(np.where(new > 0, new, np.nan), {"key_new": new})
        assert found.onset == day(DAYS - 4)
        assert found.drivers[0].is_new
        assert found.excess_percent > 1000
        assert found.chart is not None

    def test_beside_a_larger_one(self) -> None:
        old, new = draw_cost(DAYS, level=900.0, noise=0.12), self.from_day(DAYS - 3, 120.0)
        (found,) = self.find(old + new, {"key_old": old, "key_new": new})
        assert found.onset == day(DAYS - 3)
        assert (found.drivers[0].member, found.drivers[0].is_new) == ("key_new", True)

    def test_a_rotated_key_is_no_news(self) -> None:
        old = draw_cost(DAYS, level=200.0)
        is_new = np.arange(DAYS) >= DAYS - 5
        assert self.find(old, {"key_1": np.where(is_new, 0.0, old), "key_2": np.where(is_new, old, 0.0)}) == []

    def test_machines_that_come_and_go_are_no_news(self) -> None:
        old, new = draw_cost(DAYS, level=900.0, noise=0.12), self.from_day(DAYS - 3, 120.0)
        assert self.find(old + new, {"i-1": old, "i-2": new}, dimension="resource_id") == []

    def test_a_single_try_out_is_no_news(self) -> None:
        old = draw_cost(DAYS, level=900.0, noise=0.12)
        new = np.where(np.arange(DAYS) == DAYS - 3, 60.0, 0.0)
        assert self.find(old + new, {"key_old": old, "key_new": new}) == []


class TestSporadic:
    """Jobs on half of the days, about $400 each."""

    @staticmethod
    def draw(seed: int = 3) -> Floats:
        rng = np.random.default_rng([seed, 9])
        return np.where(rng.random(DAYS) < 0.5, 400 * np.exp(rng.normal(0, 0.25, DAYS)), 0.0)

    def test_clean(self) -> None:
        for seed in range(5):
            assert find_in(self.draw(seed)) == []

    def test_dearer_jobs_are_told_with_what_they_cost_more(self) -> None:
        cost = self.draw()
        before = cost.copy()
        cost[-16:] *= 2
        (found,) = find_in(cost)
        assert found.direction == "up"
        assert abs((found.onset - day(DAYS - 16)).days) <= 3
        assert 70 < found.excess_percent < 140
        assert float(found.excess_usd_total) == pytest.approx(before[-16:].sum(), rel=0.25)

    def test_days_without_a_job_tell_nothing(self) -> None:
        cost = self.draw()
        cost[-16:] *= 2
        through = int(np.flatnonzero((cost[1:-1] > 0) & (cost[2:] == 0))[-1]) + 3
        (found,) = find_in(cost[:through])
        assert (found.is_active, found.days_in_range) == (False, 0)
        (found,) = find_in(np.append(cost[:through], np.zeros(6)))
        assert found.days_in_range == 7

    def test_jobs_that_no_longer_run(self) -> None:
        cost = self.draw()
        cost[-16:] = 0.0
        (found,) = find_in(cost)
        assert found.direction == "down"
        assert found.onset == day(int(np.flatnonzero(cost)[-1]) + 1)
        assert found.excess_percent == -100
        assert float(found.excess_usd_per_day) == pytest.approx(-cost[-72:-16].mean(), rel=0.25)
        assert found.is_active


class TestYoung:
    def test_only_what_is_gross(self) -> None:
        cost = draw_cost(20, level=100.0)
        quiet = np.full(20, 50.0)
        cost[-2:] *= 1.8
        assert find_breaks(make_panel({"chat": cost, "quiet": quiet}), []) == []
        cost[-2:] *= 4
        (found,) = find_breaks(make_panel({"chat": cost, "quiet": quiet}), [])
        assert found.history_days == 20
        assert found.onset == day(18)
        assert found.is_active

    def test_a_new_feature_of_an_old_team_may_grow(self) -> None:
        launch = np.full(DAYS, np.nan)
        launch[-12:] = [5, 20, 40, 60, 70, 75, 80, 85, 90, 88, 91, 90]
        panel = make_panel({**with_neighbours(draw_cost(DAYS)), "launch": launch})
        assert find_breaks(panel, []) == []

    @pytest.mark.parametrize("seed", range(4))
    def test_many_launches_that_ramp_up_over_a_weekend_are_told_of_none(self, seed: int) -> None:
        """Each of sixty grows for ten days from a tenth; the weekend at the start is far below the first full week."""
        rng = np.random.default_rng([seed, 17])
        costs: dict[str, Floats] = with_neighbours(draw_cost(DAYS))
        for k in range(60):
            age = np.arange(DAYS) - rng.integers(DAYS - 55, DAYS - 8)
            ramp = np.clip((age + 1) / 10, 0.1, 1.0)
            costs[f"launch_{k}"] = np.where(age >= 0, draw_cost(DAYS, level=150.0, noise=0.15, seed=k) * ramp, np.nan)
        assert [b.node for b in find_breaks(make_panel(costs), [])] == []


class TestCommonCause:
    @staticmethod
    def rise(series: int, risen: int) -> list[Break]:
        costs = {f"f{k:02d}": draw_cost(DAYS, level=200.0, seed=k) for k in range(series)}
        for k in range(risen):
            costs[f"f{k:02d}"][-4:] *= 2.2
        return find_breaks(make_panel(costs), [])

    @pytest.mark.parametrize(("factor", "moved"), [(1.03, 24), (1.03, 14), (1.0, 24), (1.0, 14)])
    def test_most_that_drift_or_move_a_little_are_one(self, factor: float, moved: int) -> None:
        """No day stands out, and no feature among the others."""
        costs = {f"f{k:02d}": draw_cost(DAYS, level=200.0, seed=k) for k in range(24)}
        days = np.arange(1, 19)
        for k in range(moved):
            costs[f"f{k:02d}"][-18:] *= factor**days if factor > 1 else 1.2
        (found,) = find_breaks(make_panel(costs), [])
        assert found.node == ALL_FEATURES
        assert abs((found.onset - day(DAYS - 18)).days) <= 3

    def test_a_few_that_drift_are_told_one_by_one(self) -> None:
        costs = {f"f{k:02d}": draw_cost(DAYS, level=200.0, seed=k) for k in range(24)}
        for k in range(3):
            costs[f"f{k:02d}"][-18:] *= 1.03 ** np.arange(1, 19)
        found = find_breaks(make_panel(costs), [])
        assert sorted(b.node for b in found) == ["f00", "f01", "f02"]

    def test_many_that_rise_together_are_one(self) -> None:
        (found,) = self.rise(24, 20)
        assert found.node == ALL_FEATURES
        assert found.onset == day(DAYS - 4)
        assert found.is_active
        assert [driver.dimension for driver in found.drivers] == ["feature"] * 10
        assert all(driver.member < "f20" for driver in found.drivers)
        assert found.excess_percent == pytest.approx(100, abs=20)
        assert found.chart is not None

    @pytest.mark.parametrize(("series", "risen"), [(10, 8), (24, 3)])
    def test_few_are_told_one_by_one(self, series: int, risen: int) -> None:
        found = self.rise(series, risen)
        assert sorted(b.node for b in found) == [f"f{k:02d}" for k in range(risen)]


class TestPanels:
    def test_empty(self) -> None:
        panel = make_panel({"a": np.full(5, np.nan)})
        assert find_breaks(panel, []) == []
        assert find_breaks(replace(panel, features=(), **dict.fromkeys(_ARRAYS, np.empty((0, 5)))), []) == []

    def test_days_that_have_not_settled(self) -> None:
        cost = draw_cost(DAYS)
        cost[-6:-2] *= 2
        cost[-2:] = np.nan
        (found,) = find_in(cost)
        assert found.is_active
        assert found.last_day == day(DAYS - 3)
        assert found.data_through == day(DAYS - 3)

    def test_a_feature_that_never_cost_anything(self) -> None:
        assert find_breaks(make_panel(with_neighbours(np.zeros(DAYS))), []) == []

    def test_the_dearest_comes_first(self) -> None:
        costs = with_neighbours(draw_cost(DAYS))
        costs["chat"][-4:] *= 2
        costs["quiet_1"][-4:] *= 3
        found = find_breaks(make_panel(costs), [])
        assert [b.node for b in found] == ["quiet_1", "chat"]

    def test_a_fall(self) -> None:
        cost = draw_cost(DAYS)
        cost[-12:] *= 0.4
        (found,) = find_in(cost)
        assert found.direction == "down"
        assert found.excess_usd_per_day < 0
        assert found.excess_percent < -40


_ARRAYS = ("cost_usd", "calls", "retries", "failed_calls", "tasks", "successful_tasks")
