"""The engines to be measured against are what their papers say."""

from __future__ import annotations

import warnings

import numpy as np

from alerts.forecast.reference import seasonal_naive, theta
from tests.alerts.forecast.series import office_panel


def test_the_seasonal_naive_forecast_is_last_week() -> None:
    values = office_panel(1, 100)[0]
    forecast = seasonal_naive(values, 16, (0.95,))
    np.testing.assert_array_equal(forecast.mean[:14], np.tile(values[-7:], 2))
    width = forecast.upper[0.95] - forecast.lower[0.95]
    np.testing.assert_allclose(width[7] / width[0], np.sqrt(2))
    np.testing.assert_allclose(width[0], 2 * 1.959964 * np.sqrt(np.mean((values[7:] - values[:-7]) ** 2)), rtol=1e-6)


def test_theta_agrees_with_statsmodels_on_a_series_without_a_week() -> None:
    from statsmodels.tsa.forecasting.theta import ThetaModel

    rng = np.random.default_rng(6)
    # a week of exact zeros in the seasonal means: the moving average of noise leaves a small one, within the tolerance
    values = 200 + 0.8 * np.arange(210) + np.cumsum(rng.normal(0, 2, 210))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ThetaModel(values, period=7, deseasonalize=False).fit().forecast(14)
    np.testing.assert_allclose(theta(values, 14, (0.8,)).mean, np.asarray(theirs), rtol=0.01)


def test_theta_follows_a_week_and_half_the_trend() -> None:
    days = np.arange(140)
    values = 100 + 1.0 * days + 20 * (days % 7 == 3)
    mean = theta(values, 14, (0.8,)).mean
    ahead = np.arange(140, 154)
    plain = mean - 20 * (ahead % 7 == 3)
    assert np.abs(plain - plain.mean()).max() < 8
    weekly = mean[ahead % 7 == 3].mean() - mean[(ahead % 7 == 2) | (ahead % 7 == 4)].mean()
    assert 15 < weekly < 25


def test_three_days_are_enough_for_both() -> None:
    for engine in (seasonal_naive, theta):
        forecast = engine(np.array([10.0, 12.0, 11.0]), 9, (0.8, 0.95))
        assert np.isfinite(forecast.mean).all()
        assert (forecast.upper[0.95] >= forecast.upper[0.8]).all()
