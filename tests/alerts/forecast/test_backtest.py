"""The weekly backtest and what it decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from alerts.forecast import BacktestScore, PlannedEvent, backtest, choose, forecast_panel, summarise
from tests.alerts.forecast.series import START, office_panel, week_on_week

LIGHT = ("ensemble", "theta", "seasonal_naive")
GOOD = BacktestScore(0, "ensemble", 14, 6, 0.8, 5.0, 0.8, 0.95, 0)


def test_a_score_is_that_of_forecasts_made_at_the_time() -> None:
    y = office_panel(4, 120)
    scores = {(s.series, s.engine): s for s in backtest(y, start=START, engines=LIGHT, windows=2)}
    assert len(scores) == 12
    expected = []
    for cut in (92, 106):
        history, actual = y[:, :cut], y[:, cut : cut + 14]
        forecast = forecast_panel(history, start=START, horizon=14, engine="theta")
        expected.append(np.abs(actual - forecast.mean).mean(axis=1) / week_on_week(history))
    for row in range(4):
        assert scores[row, "theta"].mase == pytest.approx(float(np.mean(expected, axis=0)[row]))
        assert scores[row, "theta"].windows == 2


def test_rows_that_are_too_young_or_unknown_have_no_score() -> None:
    y = office_panel(3, 150)
    y[0, :120] = np.nan
    y[1, -14:] = np.nan
    scores = backtest(y, start=START, engines=("ensemble",), windows=3)
    assert [(s.series, s.windows) for s in scores] == [(1, 2), (2, 3)]


def test_an_engine_that_could_not_be_fitted_is_marked() -> None:
    y = office_panel(2, 120)
    y[1, :50] = 30.0
    y[1, 50:] = 30.0 + 1e-9 * np.arange(70)
    scores = backtest(y, start=START, engines=("uc",), windows=1)
    assert [s.fallback_windows for s in scores if s.series == 0] == [0]


def test_events_keep_their_rows_when_others_fall_out() -> None:
    y = office_panel(3, 150)
    y[0, :120] = np.nan  # has no score, so row 2 is the second of those forecast
    known_change = PlannedEvent("move", START + timedelta(days=136), series=(2,), expected_change=1.0)
    y[2, 136:] *= 2
    aware = {
        s.series: s.mase for s in backtest(y, start=START, engines=("ensemble",), windows=1, events=[known_change])
    }
    unaware = {s.series: s.mase for s in backtest(y, start=START, engines=("ensemble",), windows=1)}
    assert aware[2] < 0.6 * unaware[2]
    assert aware[1] == pytest.approx(unaware[1])


def test_the_ensemble_stays_unless_another_is_clearly_better() -> None:
    better = replace(GOOD, engine="theta", mase=0.7)
    assert choose([GOOD, better], series=1) == ["theta"]
    assert choose([GOOD, replace(better, mase=0.75)], series=1) == ["ensemble"]
    assert choose([GOOD, replace(better, windows=3)], series=1) == ["ensemble"]
    assert choose([GOOD, replace(better, msis95=5.1)], series=1) == ["ensemble"]
    assert choose([GOOD, replace(better, fallback_windows=1)], series=1) == ["ensemble"]
    best = replace(GOOD, engine="ets", mase=0.6)
    assert choose([GOOD, better, best], series=1) == ["ets"]


def test_rows_without_a_score_get_the_ensemble() -> None:
    assert choose([replace(GOOD, series=1)], series=3) == ["ensemble"] * 3


def test_the_summary_ranks_engines_and_relates_them_to_the_naive_forecast() -> None:
    scores = backtest(office_panel(10, 200), start=START, engines=LIGHT, windows=4)
    table = summarise(scores)
    assert table[0].engine == "ensemble"
    by_name = {row.engine: row for row in table}
    assert by_name["seasonal_naive"].relative_mase == pytest.approx(1.0)
    assert by_name["ensemble"].relative_mase < 0.9
    assert by_name["ensemble"].series == 10
