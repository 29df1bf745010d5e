"""Month-end totals: what is known, what is to come, and an interval of the total itself."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from alerts.forecast import forecast_panel, month_end
from tests.alerts.forecast.series import START, office_panel

DAYS = 201  # 1 January to 20 July 2025


def test_the_total_is_what_is_known_plus_the_mean_of_what_is_to_come() -> None:
    y = office_panel(5, DAYS)
    forecast = forecast_panel(y, start=START, horizon=42)
    result = month_end(y, forecast)
    assert (result.month, result.through, result.remaining_days) == (date(2025, 7, 1), date(2025, 7, 20), 11)
    np.testing.assert_allclose(result.actual, y[:, -20:].sum(axis=1))
    np.testing.assert_allclose(result.mean, y[:, -20:].sum(axis=1) + forecast.mean[:, :11].sum(axis=1))
    assert (result.unknown_days == 0).all()
    for level in (0.8, 0.95):
        assert (result.lower[level] <= result.mean).all()
        assert (result.mean <= result.upper[level]).all()
    assert (result.lower[0.95] <= result.lower[0.8]).all()


def test_features_and_total_agree() -> None:
    y = office_panel(7, DAYS)
    result = month_end(y, forecast_panel(y, start=START, horizon=42))
    assert result.total_mean == pytest.approx(result.mean.sum())
    assert result.total_actual == pytest.approx(result.actual.sum())
    assert result.total_lower[0.95] <= result.total_lower[0.8] <= result.total_mean <= result.total_upper[0.8]


def test_next_month_and_the_month_after_a_month_end() -> None:
    y = office_panel(3, DAYS)
    forecast = forecast_panel(y, start=START, horizon=42)
    august = month_end(y, forecast, month=date(2025, 8, 9))
    assert august.remaining_days == 31
    assert (august.actual == 0).all()
    np.testing.assert_allclose(august.mean, forecast.mean[:, 11:42].sum(axis=1))
    full = y[:, :181]  # through 30 June
    result = month_end(full, forecast_panel(full, start=START, horizon=31))
    assert (result.month, result.remaining_days) == (date(2025, 7, 1), 31)


def test_a_month_that_is_over_is_exact() -> None:
    y = office_panel(3, DAYS)
    june = month_end(y, forecast_panel(y, start=START, horizon=42), month=date(2025, 6, 15))
    np.testing.assert_allclose(june.mean, y[:, 151:181].sum(axis=1))
    np.testing.assert_allclose(june.upper[0.95], june.mean)
    assert june.total_lower[0.95] == pytest.approx(june.total_mean)
    assert june.remaining_days == 0


def test_a_forecast_that_ends_too_early_says_how_long_it_must_be() -> None:
    y = office_panel(2, DAYS)
    with pytest.raises(ValueError, match="forecast 11 days or more"):
        month_end(y, forecast_panel(y, start=START, horizon=10))
    with pytest.raises(ValueError, match="the forecast is of 2 series"):
        month_end(y[:1], forecast_panel(y, start=START, horizon=42))


def test_unknown_days_count_at_the_usual_mean_and_are_reported() -> None:
    y = office_panel(2, DAYS)
    y[0, -5:-2] = np.nan
    result = month_end(y, forecast_panel(y, start=START, horizon=42))
    known = y[0][np.isfinite(y[0])]
    assert list(result.unknown_days) == [3, 0]
    assert result.actual[0] == pytest.approx(np.nansum(y[0, -20:]) + 3 * known[-28:].mean())


def test_days_before_a_feature_existed_count_nothing() -> None:
    y = office_panel(3, DAYS)
    y[0, :-4] = np.nan
    y[1] = np.nan
    result = month_end(y, forecast_panel(y, start=START, horizon=42))
    assert result.unknown_days[0] == 0
    assert result.actual[0] == pytest.approx(y[0, -4:].sum())
    assert np.isnan(result.mean[1])
    assert result.total_mean == pytest.approx(result.mean[[0, 2]].sum())


def test_a_history_shorter_than_the_month() -> None:
    y = office_panel(2, 6)
    result = month_end(y, forecast_panel(y, start=date(2025, 7, 15), horizon=30))
    np.testing.assert_allclose(result.actual, y.sum(axis=1))
    assert (result.unknown_days == 0).all()


def test_the_interval_is_narrower_than_the_sum_of_the_daily_bounds() -> None:
    y = office_panel(20, 300, seed=2)
    forecast = forecast_panel(y, start=START, horizon=36)
    result = month_end(y, forecast, month=date(2025, 11, 1))
    begin = (date(2025, 11, 1) - forecast.start).days
    stop = begin + 30
    summed = (forecast.upper[0.8] - forecast.lower[0.8])[:, begin:stop].sum(axis=1)
    own = result.upper[0.8] - result.lower[0.8]
    assert np.median(own / summed) < 0.75


def test_totals_of_series_that_err_together_are_less_certain() -> None:
    independent = office_panel(12, 300, seed=3)
    rng = np.random.default_rng(9)
    common = np.exp(np.convolve(rng.normal(0, 0.08, 300 + 6), np.ones(7) / np.sqrt(7), mode="valid"))
    together = office_panel(12, 300, seed=3, noise=0.02) * common

    def share_of_perfect_togetherness(y: np.ndarray) -> float:
        result = month_end(y, forecast_panel(y, start=START, horizon=36), month=date(2025, 11, 1))
        each = result.upper[0.8] - result.lower[0.8]
        apart = float(np.sqrt((each**2).sum()))
        total = result.total_upper[0.8] - result.total_lower[0.8]
        return (total - apart) / (float(each.sum()) - apart)

    assert share_of_perfect_togetherness(together) > 0.5
    assert abs(share_of_perfect_togetherness(independent)) < 0.3


def test_month_totals_are_covered_as_promised() -> None:
    inside: dict[float, list[float]] = {0.8: [], 0.95: []}
    y = office_panel(40, 400, seed=21)
    for cut in range(200, 360, 12):
        history = y[:, :cut]
        forecast = forecast_panel(history, start=START, horizon=32)
        result = month_end(history, forecast)
        begin = (result.month - START).days
        stop = ((result.month + timedelta(days=32)).replace(day=1) - START).days
        actual = y[:, begin:stop].sum(axis=1)
        for level, hits in inside.items():
            hits.append(float(np.mean((actual >= result.lower[level]) & (actual <= result.upper[level]))))
    assert 0.7 < np.mean(inside[0.8]) < 0.9
    assert 0.9 < np.mean(inside[0.95]) <= 0.99


def test_what_is_spent_is_spent() -> None:
    y = office_panel(4, DAYS, noise=0.4)
    result = month_end(y, forecast_panel(y, start=START, horizon=42))
    assert (result.outcomes >= result.actual[:, None]).all()
    assert (result.total_outcomes >= result.total_actual).all()
