"""What the ensemble must be able to follow, and whether its intervals hold what they promise. The full comparison
with other methods is benchmarks/forecast; here stand the properties that a change must not lose."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from alerts.forecast import PanelForecast, PlannedEvent, forecast_panel
from alerts.forecast.panel import is_month_end
from tests.alerts.forecast.series import START, office_panel, week_on_week

HORIZON = 14


def forecasts(y: np.ndarray, cuts: range) -> list[tuple[PanelForecast, np.ndarray, np.ndarray]]:
    """(forecast, actual [n, h], scale [n]) at each cut."""
    return [
        (
            forecast_panel(y[:, :cut], start=START, horizon=HORIZON),
            y[:, cut : cut + HORIZON],
            week_on_week(y[:, :cut]),
        )
        for cut in cuts
    ]


@pytest.fixture(scope="module")
def windows() -> list[tuple[PanelForecast, np.ndarray, np.ndarray]]:
    return forecasts(office_panel(60, 400, seed=11), range(240, 380, 15))


def test_errors_are_a_fifth_below_the_seasonal_naive_forecast(
    windows: list[tuple[PanelForecast, np.ndarray, np.ndarray]],
) -> None:
    ours = np.mean([np.mean(np.abs(f.mean - actual) / scale[:, None]) for f, actual, scale in windows])
    assert ours < 0.8


@pytest.mark.parametrize(("level", "low", "high"), [(0.8, 0.76, 0.84), (0.95, 0.93, 0.975)])
def test_intervals_cover_what_they_say(
    windows: list[tuple[PanelForecast, np.ndarray, np.ndarray]], level: float, low: float, high: float
) -> None:
    inside = [np.mean((actual >= f.lower[level]) & (actual <= f.upper[level])) for f, actual, _ in windows]
    assert low < np.mean(inside) < high


def test_intervals_cover_in_a_team_of_five_too() -> None:
    inside80, inside95 = [], []
    for seed in range(8):
        for f, actual, _ in forecasts(office_panel(5, 200, seed=100 + seed), range(120, 190, 30)):
            inside80.append(np.mean((actual >= f.lower[0.8]) & (actual <= f.upper[0.8])))
            inside95.append(np.mean((actual >= f.lower[0.95]) & (actual <= f.upper[0.95])))
    assert 0.72 < np.mean(inside80) < 0.88
    assert 0.91 < np.mean(inside95) < 0.985


def test_intervals_widen_with_the_lead_where_the_level_wanders() -> None:
    rng = np.random.default_rng(2)
    y = 100 * np.exp(np.cumsum(rng.normal(0, 0.04, (20, 300)), axis=1))
    f = forecast_panel(y, start=START, horizon=60)
    width = (f.upper[0.8] - f.lower[0.8]).mean(axis=0)
    assert width[13] > 1.3 * width[0]
    assert width[59] > 1.3 * width[13]


def test_one_odd_day_moves_nothing() -> None:
    y = office_panel(10, 200, seed=4, noise=0.05)
    odd = y.copy()
    odd[0, -3] *= 8
    plain = forecast_panel(y, start=START, horizon=HORIZON)
    shocked = forecast_panel(odd, start=START, horizon=HORIZON)
    assert np.abs(shocked.mean[0] / plain.mean[0] - 1).max() < 0.15


@pytest.mark.parametrize("factor", [2.0, 0.4])
def test_a_lasting_shift_is_followed_within_ten_days(factor: float) -> None:
    y = office_panel(10, 220, seed=5, noise=0.06)
    y[0, 200:] *= factor
    after = forecast_panel(y[:, :210], start=START, horizon=10)
    error = np.abs(after.mean[0] - y[0, 210:220]).mean() / y[0, 210:220].mean()
    assert error < 0.2


def test_growth_is_followed() -> None:
    y = office_panel(10, 200, seed=6, noise=0.06)
    growth = 1.015 ** np.clip(np.arange(200) - 140, 0, None)
    y[0] *= growth
    forecast = forecast_panel(y[:, :186], start=START, horizon=14)
    assert 0.85 < forecast.mean[0].sum() / y[0, 186:].sum() < 1.1


def test_month_ends_are_learned_from_two_of_them_and_not_seen_where_there_are_none() -> None:
    days = 150  # 1 January to 30 May: the 31st and the 1st of June are ahead
    y = office_panel(8, days, seed=7, noise=0.05)
    calendar = [START + timedelta(days=k) for k in range(days + 7)]
    y[0, [is_month_end(day) for day in calendar[:days]]] *= 1.6
    forecast = forecast_panel(y, start=START, horizon=7)
    plain = y.copy()
    plain[0] = office_panel(8, days, seed=7, noise=0.05)[0]
    unaware = forecast_panel(plain, start=START, horizon=7)
    ratio = forecast.mean[0] / unaware.mean[0]
    ahead = np.array([is_month_end(day) for day in calendar[days:]])
    assert (ratio[ahead] > 1.3).all()
    assert (np.abs(ratio[~ahead] - 1) < 0.1).all()


def test_holidays_given_as_events_of_one_name_teach_the_next_one() -> None:
    days = 200
    y = office_panel(8, days, seed=8, noise=0.05)
    past = [60, 90, 121, 152, 180]
    y[:, past] *= 0.5
    events = [PlannedEvent("holiday", START + timedelta(days=k), START + timedelta(days=k)) for k in (*past, days + 3)]
    forecast = forecast_panel(y, start=START, horizon=7, events=events)
    unaware = forecast_panel(y, start=START, horizon=7)
    ratio = (forecast.mean / unaware.mean).mean(axis=0)
    assert ratio[3] < 0.75
    assert (np.abs(np.delete(ratio, 3) - 1) < 0.05).all()


def test_rolling_errors_are_those_of_forecasts_made_without_the_days_they_are_measured_on() -> None:
    y = office_panel(6, 200, seed=9)
    full = forecast_panel(y, start=START, horizon=7).rolled
    changed = y.copy()
    changed[:, -1] *= 3  # the last day is only ever an actual of the errors, never seen by the forecasts behind them
    again = forecast_panel(changed, start=START, horizon=7).rolled
    scale = np.abs(y).mean(axis=1)[:, None]
    rescaled = np.abs(changed).mean(axis=1)[:, None]
    # forecasts from ten days before the end, in units of each panel's own size
    difference = np.abs(again.path[:, -11] / rescaled - full.path[:, -11] / scale)
    assert difference.max() < 0.03
