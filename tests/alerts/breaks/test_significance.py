"""Alarms across many series."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.detect import OFF, POINT, WEEK, PanelScores
from alerts.significance import find_episodes, flag_days

Floats = NDArray[np.float64]


def make_scores(score: Floats, *, level: Floats | None = None, channel: int = POINT) -> PanelScores:
    unknown = np.full(score.shape, np.nan)
    return PanelScores(
        score=score,
        channel=np.full(score.shape, channel, np.int8),
        direction=np.ones(score.shape, np.int8),
        expected=unknown,
        lower=unknown,
        upper=unknown,
        level_score=np.zeros(score.shape) if level is None else level,
        idle=np.zeros(score.shape, np.bool_),
    )


def flag(scores: PanelScores, *, budget: float = 2.0, days_back: int = 42, factor: float = 1.0) -> NDArray[np.bool_]:
    m, days = scores.score.shape
    usable = np.ones((m, days), np.bool_)
    return flag_days(scores, np.full((m, 1), factor), usable, false_alerts_per_month=budget, days_back=days_back)


def quiet(m: int, days: int = 100) -> Floats:
    return np.full((m, days), 0.3)


def test_the_more_series_the_higher_the_limit() -> None:
    few, many = quiet(5), quiet(800)
    few[0, -1] = many[0, -1] = 1.6
    assert flag(make_scores(few))[0, -1]
    assert not flag(make_scores(many))[0, -1]
    many[0, -1] = 8.0
    assert flag(make_scores(many))[0, -1]


def test_many_at_once_lower_it_again() -> None:
    score = quiet(200)
    score[:60, -1] = 1.9
    assert flag(make_scores(score)).sum() == 60


def test_a_level_is_stronger_evidence_than_a_day() -> None:
    score = quiet(400)
    score[0, -1] = 1.7
    level = np.where(score > 1, score, 0.0)
    assert not flag(make_scores(score)).any()
    assert flag(make_scores(score, level=level, channel=WEEK))[0, -1]


def test_a_run_of_off_days_too() -> None:
    score = quiet(400)
    score[0, -1] = 2.7
    assert not flag(make_scores(score)).any()
    assert flag(make_scores(score, channel=OFF))[0, -1]


def test_a_restless_panel_raises_its_own_limit() -> None:
    score = quiet(5)
    score[1, -1] = 1.5
    assert flag(make_scores(score))[1, -1]
    score[:, 10:70:3] = 1.2
    assert not flag(make_scores(score))[1, -1]


def test_a_later_run_flags_the_same_day() -> None:
    rng = np.random.default_rng(5)
    score = rng.exponential(0.35, (12, 140))
    for end in (105, 120, 140):
        short, whole = flag(make_scores(score[:, :end])), flag(make_scores(score))
        shared = slice(140 - 42, end)
        np.testing.assert_array_equal(short[:, shared], whole[:, shared])


@pytest.mark.parametrize(("budget", "factor", "expected"), [(2.0, 1.0, True), (0.02, 1.0, False), (2.0, 1.6, False)])
def test_budget_and_factor(budget: float, factor: float, expected: bool) -> None:
    score = quiet(5)
    score[2, -1] = 1.5
    assert flag(make_scores(score), budget=budget, factor=factor)[2, -1] == expected


def test_only_the_last_days_and_never_below_the_plain_limit() -> None:
    score = quiet(3)
    score[0, 10] = score[0, 95] = 5.0
    assert np.flatnonzero(flag(make_scores(score))[0]).tolist() == [95]
    assert not flag(make_scores(np.full((1, 100), 0.99)), budget=1000.0).any()


def test_episodes() -> None:
    flags = np.zeros(40, np.bool_)
    flags[[3, 4, 11, 20, 39]] = True
    assert [run.tolist() for run in find_episodes(flags)] == [[3, 4, 11], [20], [39]]
    assert find_episodes(np.zeros(5, np.bool_)) == []
