"""Budgets: how likely a breach is, when, and how far ahead of plan."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from alerts.forecast import budget_outlook, forecast_panel, month_end
from tests.alerts.forecast.series import START, office_panel

DAYS = 201  # through 20 July 2025


def test_the_probability_falls_as_the_budget_grows_and_is_half_at_the_median() -> None:
    y = office_panel(1, DAYS)
    forecast = forecast_panel(y, start=START, horizon=42)
    result = month_end(y, forecast)
    median = float(np.median(result.outcomes[0]))
    probabilities = []
    for budget in (0.8 * median, 0.95 * median, median, 1.05 * median, 1.5 * median):
        outlook = budget_outlook(y, forecast, [budget])[0]
        assert outlook is not None
        probabilities.append(outlook.breach_probability)
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[0] > 0.9
    assert probabilities[2] == pytest.approx(0.5, abs=0.02)
    assert probabilities[-1] < 0.01


def test_a_budget_that_is_spent_was_breached_on_its_day() -> None:
    y = np.full((1, DAYS), 100.0)
    forecast = forecast_panel(y, start=START, horizon=42)
    outlook = budget_outlook(y, forecast, [1550.0])[0]
    assert outlook is not None
    assert outlook.breach_probability == 1.0
    assert outlook.expected_breach_date == date(2025, 7, 16)
    assert outlook.earliest_breach_date == date(2025, 7, 16)
    assert outlook.spent == pytest.approx(2000.0)
    assert outlook.pace == pytest.approx(2000 / (1550 * 20 / 31))


def test_the_breach_to_come_has_a_day_and_the_high_path_an_earlier_one() -> None:
    y = office_panel(1, DAYS, seed=5, noise=0.3)
    forecast = forecast_panel(y, start=START, horizon=42)
    expected = float(month_end(y, forecast).mean[0])
    outlook = budget_outlook(y, forecast, [0.93 * expected])[0]
    assert outlook is not None
    assert outlook.expected_breach_date is not None
    assert outlook.earliest_breach_date is not None
    assert date(2025, 7, 21) <= outlook.earliest_breach_date <= outlook.expected_breach_date <= date(2025, 7, 31)
    assert outlook.expected_total == pytest.approx(expected)


def test_a_budget_within_reach_only_of_the_high_path_has_no_expected_date() -> None:
    y = office_panel(1, DAYS, seed=5, noise=0.3)
    forecast = forecast_panel(y, start=START, horizon=42)
    result = month_end(y, forecast)
    outlook = budget_outlook(y, forecast, [float(result.mean[0] + result.upper[0.8][0]) / 2])[0]
    assert outlook is not None
    assert outlook.expected_breach_date is None
    assert outlook.earliest_breach_date is not None
    assert 0.05 < outlook.breach_probability < 0.5


def test_next_months_budget_has_no_pace_yet() -> None:
    y = office_panel(2, DAYS)
    outlook = budget_outlook(y, forecast_panel(y, start=START, horizon=42), [1e6, None], month=date(2025, 8, 1))
    assert outlook[1] is None
    assert outlook[0] is not None
    assert outlook[0].pace is None
    assert outlook[0].spent == 0
    assert outlook[0].breach_probability == 0


def test_a_series_nothing_is_known_of_has_no_outlook() -> None:
    y = office_panel(2, DAYS)
    y[0] = np.nan
    assert budget_outlook(y, forecast_panel(y, start=START, horizon=42), [500.0, None]) == [None, None]


@pytest.mark.parametrize(("budgets", "message"), [([0.0], "above 0"), ([-5.0], "above 0"), ([1.0, 2.0], "2 budgets")])
def test_budgets_that_are_refused(budgets: list[float], message: str) -> None:
    y = office_panel(1, DAYS)
    with pytest.raises(ValueError, match=message):
        budget_outlook(y, forecast_panel(y, start=START, horizon=42), budgets)
