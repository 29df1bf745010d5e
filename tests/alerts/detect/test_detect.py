"""The scorer: what it may look at, what it finds, how often it is wrong."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.detect import CHANNELS, OFF, PanelScores, score_panel
from benchmarks.detection.scores import FIRST, START, count_rate, invent, measure, measure_partial_day, ours
from benchmarks.detection.simulate import draw_series

Floats = NDArray[np.float64]


def make_steady(days: int, *, level: float = 200.0, noise: float = 0.05, seed: int = 1, start: date = START) -> Floats:
    """One office series: weekends at 60%."""
    rng = np.random.default_rng(seed)
    weekday = (start.weekday() + np.arange(days)) % 7
    return level * np.where(weekday >= 5, 0.6, 1.0) * np.exp(rng.normal(0, noise, days))


def score_one(y: Floats, *, start: date = START) -> PanelScores:
    return score_panel(y[None, :], start=start)


@pytest.fixture(scope="module")
def panel() -> Floats:
    """Series that begin on different days, one with a gap, one with zeros first."""
    y = draw_series(8, 200, np.random.default_rng(4), start=START)
    for row in range(6):
        y[row, : row * 13] = np.nan
    y[6, 90:97] = np.nan
    y[7, :150] = 0.0
    return y


class TestCausality:
    @pytest.mark.parametrize("days", [1, 2, 8, 15, 28, 29, 45, 60, 92, 95, 120, 155, 199])
    def test_a_day_is_scored_from_its_past_alone(self, panel: Floats, days: int) -> None:
        whole, cut = score_panel(panel, start=START), score_panel(panel[:, :days], start=START)
        for field in fields(PanelScores):
            left, right = getattr(whole, field.name)[:, :days], getattr(cut, field.name)
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5, err_msg=field.name)

    def test_rows_do_not_know_each_other(self, panel: Floats) -> None:
        whole, alone = score_panel(panel, start=START), score_panel(panel[2:3], start=START)
        np.testing.assert_allclose(whole.score[2], alone.score[0], rtol=1e-4, atol=1e-5)

    def test_days_before_a_series_exists_change_nothing(self) -> None:
        y = make_steady(150)
        later = score_panel(np.concatenate([np.full(30, np.nan), y])[None, :], start=START - timedelta(days=30))
        np.testing.assert_allclose(later.score[0, 30:], score_one(y).score[0], rtol=1e-4, atol=1e-5)
        assert np.isnan(later.expected[0, :30]).all()
        assert (later.score[0, :30] == 0).all()


class TestOperatingPoint:
    def test_one_false_alert_per_series_year_and_the_recall_at_it(self) -> None:
        found = measure(ours, [invent(70, 250, 30)])
        assert 0.7 <= found["alerts/yr at 1"] <= 1.4
        assert found["macro"] >= 0.75
        assert found["upward"] >= 0.72
        assert found["level +100%"] >= 0.95
        assert found["drop to 0"] >= 0.95

    def test_no_more_false_alerts_while_a_series_is_young(self) -> None:
        y = draw_series(400, FIRST, np.random.default_rng(71), start=START)
        assert count_rate(score_panel(y, start=START).score >= 1.0) <= 1.6

    def test_an_incomplete_last_day_makes_no_alert(self) -> None:
        assert measure_partial_day([invent(72, 150, 1)], ours) == 0.0

    def test_scores_do_not_depend_on_the_currency(self) -> None:
        y = draw_series(20, 200, np.random.default_rng(73), start=START)
        y = np.maximum(y, 5.0)
        dollars, cents = score_panel(y, start=START), score_panel(y * 100, start=START, unit_floor=50.0)
        np.testing.assert_allclose(dollars.score, cents.score, rtol=1e-3, atol=1e-3)


class TestChannels:
    def test_a_doubled_day(self) -> None:
        y = make_steady(150)
        y[140] *= 2
        scores = score_one(y)
        assert scores.score[0, 140] > 2
        assert scores.direction[0, 140] == 1
        assert CHANNELS[scores.channel[0, 140]] == "point"
        assert scores.upper[0, 140] < y[140]

    @pytest.mark.parametrize("missing_on", [138, 139])
    def test_a_day_that_makes_up_for_a_low_one_is_no_rise(self, missing_on: int) -> None:
        y = make_steady(150)
        y[140] *= 1.9
        assert score_one(y).score[0, 140] > 1.5
        y[missing_on] *= 0.05
        assert score_one(y).score[0, 140] < 1
        y[140] *= 2  # twice what was missing is more spend
        assert score_one(y).score[0, 140] > 1.5

    def test_two_days_without_cost_are_not_off_yet_three_are(self) -> None:
        y = make_steady(150, noise=0.5)  # so noisy that two low days say little
        y[140:143] = 0.0
        scores = score_one(y)
        assert scores.score[0, 141] < 1
        assert scores.score[0, 142] >= 1
        assert scores.channel[0, 142] == OFF

    def test_one_low_day_says_nothing_two_do(self) -> None:
        y = make_steady(150)
        y[140:142] *= 0.35
        scores = score_one(y)
        assert scores.score[0, 140] < 1
        assert scores.score[0, 141] >= 1
        assert scores.direction[0, 141] == -1

    def test_a_slow_drift(self) -> None:
        y = make_steady(170, noise=0.06)
        y[140:] *= 1.02 ** np.arange(1, 31)
        scores = score_one(y)
        alerts = np.flatnonzero(scores.level_score[0, 140:] >= 1)
        assert alerts.size
        assert alerts[0] <= 14
        assert scores.direction[0, 140 + alerts[0]] == 1

    def test_an_outage_longer_than_those_before(self) -> None:
        y = make_steady(200)
        y[100:102] = 0.0  # known from now on: two days are nothing new
        y[180:184] = 0.0
        scores = score_one(y)
        assert scores.score[0, 101] > 1
        assert (scores.score[0, 180:182] < scores.score[0, 101]).all()
        assert scores.score[0, 183] > 1

    def test_a_long_outage_belongs_to_the_off_channel(self) -> None:
        y = make_steady(200, noise=0.5)  # so noisy that two low days say little
        y[180:187] = 0.0
        scores = score_one(y)
        assert scores.channel[0, 186] == OFF
        assert scores.direction[0, 186] == -1
        assert scores.score[0, 186] > 2

    def test_weekends_without_cost_are_no_outage(self) -> None:
        y = make_steady(200)
        y[(START.weekday() + np.arange(200)) % 7 >= 5] = 0.0
        assert count_rate(score_one(y).score[:, 40:] >= 1) == 0

    def test_from_nothing(self) -> None:
        y = np.zeros(200)
        y[180:] = 40.0
        scores = score_one(y)
        assert scores.score[0, :180].max() == 0
        assert scores.score[0, 180] > 1


class TestSharedDays:
    @staticmethod
    def move(series: int, factor: float) -> Floats:
        y = np.stack([make_steady(150, seed=k) for k in range(series)])
        y[:, 140] *= factor
        return y

    def test_what_all_share_is_nobodys_alert(self) -> None:
        y = self.move(24, 2.0)
        y[3, 140] *= 2.5
        scores = score_panel(y, start=START)
        assert np.flatnonzero(scores.score[:, 140] >= 1).tolist() == [3]

    def test_of_few_series_each_has_its_own(self) -> None:
        scores = score_panel(self.move(19, 2.0), start=START)
        assert (scores.score[:, 140] >= 1).all()

    def test_what_a_few_of_many_do_stays_theirs(self) -> None:
        y = self.move(24, 1.0)
        y[:4, 140] *= 2.0
        scores = score_panel(y, start=START)
        assert np.flatnonzero(scores.score[:, 140] >= 1).tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize("factor", [1.03, 1 / 1.03])
    def test_a_drift_that_all_share_is_nobodys_but_one_that_goes_further(self, factor: float) -> None:
        y = np.stack([make_steady(170, seed=k) for k in range(24)])
        y[:, 150:] *= factor ** np.arange(1, 21)
        assert (score_panel(y, start=START).level_score[:, 150:] < 1).all()
        assert (score_panel(y[:19], start=START).level_score[:, 150:].max(axis=1) >= 1).all()
        y[3, 150:] *= factor ** np.arange(1, 21)
        scores = score_panel(y, start=START)
        assert np.flatnonzero((scores.level_score[:, 150:] >= 1).any(axis=1)).tolist() == [3]

    def test_a_window_is_compared_with_series_that_are_there(self) -> None:
        """Unborn ones have no window: they do not hide what the others share."""
        y = np.stack([make_steady(170, seed=k) for k in range(24)])
        y[:, 150:] *= 1.03 ** np.arange(1, 21)
        unborn = np.full((40, 170), np.nan)
        alone, beside = score_panel(y, start=START), score_panel(np.vstack([y, unborn]), start=START)
        np.testing.assert_allclose(beside.score[:24], alone.score, rtol=1e-5, atol=1e-6)

    def test_the_day_alone_decides(self) -> None:
        y = self.move(24, 2.0)
        whole, cut = score_panel(y, start=START), score_panel(y[:, :141], start=START)
        np.testing.assert_allclose(whole.score[:, 140], cut.score[:, 140], rtol=1e-5, atol=1e-6)


class TestSporadic:
    """A job that runs on half of the days, in no weekly order."""

    @staticmethod
    def make(seed: int, days: int = 200) -> Floats:
        rng = np.random.default_rng([seed, 8])
        return np.where(rng.random(days) < 0.5, make_steady(days, noise=0.25, seed=seed), 0.0)

    def test_a_day_is_judged_from_its_past_alone(self) -> None:
        y = np.stack([self.make(seed) for seed in range(4)])
        whole = score_panel(y, start=START)
        assert whole.idle[:, 60:].any(axis=1).all()
        for days in (29, 45, 57, 85, 120, 199):
            cut = score_panel(y[:, :days], start=START)
            for field in fields(PanelScores):
                left, right = getattr(whole, field.name)[:, :days], getattr(cut, field.name)
                np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5, err_msg=field.name)

    def test_dearer_jobs_are_found_and_no_others(self) -> None:
        for seed in range(6):
            y = self.make(seed)
            assert count_rate(score_one(y).score[:, 40:] >= 1) * 160 / 365.25 <= 1
            y[170:] *= 2
            scores = score_one(y)
            over = scores.level_score[0, 170:] >= 1
            assert over.any()
            assert not (over & scores.idle[0, 170:]).any()

    def test_it_is_off_when_the_pause_is_no_chance(self) -> None:
        y = self.make(1)
        y[150:] = 0.0
        off = np.flatnonzero(score_one(y).score[0, 150:] >= 1)
        assert 8 <= off[0] <= 20

    def test_quiet_weekends_and_an_outage_are_not_idle(self) -> None:
        y = make_steady(200)
        y[(START.weekday() + np.arange(200)) % 7 >= 5] = 0.0
        y[120:134] = 0.0
        assert not score_one(y).idle.any()


class TestState:
    def test_a_new_level_becomes_the_expectation_within_two_weeks(self) -> None:
        y = make_steady(180)
        y[140:] *= 2
        scores = score_one(y)
        usual = make_steady(180, noise=0.0)
        np.testing.assert_allclose(scores.expected[0, 156:163], 2 * usual[156:163], rtol=0.15)
        assert scores.score[0, 165:].max() < 1

    def test_one_outlier_does_not_move_it(self) -> None:
        y = make_steady(150)
        spiked = y.copy()
        spiked[140] *= 20
        np.testing.assert_allclose(score_one(spiked).expected[0, 142:], score_one(y).expected[0, 142:], rtol=0.05)

    def test_month_ends_are_learned(self) -> None:
        days = 330
        y = make_steady(days, noise=0.03)
        dates = [START + timedelta(days=k) for k in range(days)]
        edge = np.array([d.day == 1 or (d + timedelta(days=2)).day <= 2 for d in dates])
        y[edge] *= 1.5
        late = edge & (np.arange(days) > 200)
        assert score_one(y).score[0, late].max() < 1

    def test_the_range_holds_the_ordinary_day(self) -> None:
        y = make_steady(300)
        scores = score_one(y)
        inside = (y[60:] > scores.lower[0, 60:]) & (y[60:] < scores.upper[0, 60:])
        assert inside.all()
        assert (scores.lower <= scores.expected).all()
        assert (scores.expected <= scores.upper).all()


class TestShapes:
    @pytest.mark.parametrize("shape", [(0, 10), (3, 0), (2, 1), (1, 5), (1, 17), (1, 29)])
    def test_small_panels(self, shape: tuple[int, int]) -> None:
        scores = score_panel(np.full(shape, 10.0), start=START)
        for field in fields(PanelScores):
            assert getattr(scores, field.name).shape == shape
        assert (scores.score == 0).all()

    def test_unknown_series_and_credits(self) -> None:
        y = np.vstack([np.full(60, np.nan), np.full(60, -5.0), np.zeros(60)])
        scores = score_panel(y, start=START)
        assert (scores.score == 0).all()
        assert np.isnan(scores.expected[0]).all()
        assert np.isfinite(scores.expected[1:]).all()

    @pytest.mark.parametrize("share", [1.0, 0.7])
    def test_days_of_corrections_are_no_outage(self, share: float) -> None:
        y = make_steady(170)
        corrected = np.random.default_rng(6).random(30) < share
        y[140:] = np.where(corrected, -30.0, y[140:])
        scores = score_one(y)
        assert (scores.score[0, 140:][corrected] == 0).all()
        assert (scores.direction[0, 140:] >= 0).all()
        y[140:] = 0.0
        assert score_one(y).direction[0, 145] == -1

    def test_an_unknown_day_has_no_score(self) -> None:
        y = make_steady(150)
        y[140] *= 3
        y[141] = np.nan
        scores = score_one(y)
        assert scores.score[0, 141] == 0
        assert np.isfinite(scores.expected[0, 141])

    def test_more_series_than_one_block(self) -> None:
        y = np.tile(make_steady(60), (1100, 1))
        y[1077, 50] *= 3
        scores = score_panel(y, start=START)
        assert np.flatnonzero(scores.score[:, 50] >= 1).tolist() == [1077]

    def test_another_number_of_dimensions_is_refused(self) -> None:
        with pytest.raises(ValueError, match="series, days"):
            score_panel(np.ones(5), start=START)
