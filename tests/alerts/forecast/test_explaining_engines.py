"""statsmodels behind our interface: the same figures as statsmodels itself, gaps and regressors on top."""

from __future__ import annotations

import warnings
from datetime import timedelta

import numpy as np
import pytest

from alerts.forecast import EngineUnfit, PlannedEvent, explain_series, forecast_panel
from alerts.forecast.explaining import fill_gaps
from alerts.forecast.panel import is_month_end
from tests.alerts.forecast.series import START, office_panel


def test_ets_is_statsmodels_damped_additive_ets() -> None:
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    y = office_panel(1, 140)
    ours = forecast_panel(y, start=START, horizon=14, engine="ets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ETSModel(
            pd.Series(y[0]), error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=7
        )
        prediction = model.fit(disp=False).get_prediction(start=140, end=153)
        interval = np.asarray(prediction.pred_int(alpha=0.05))
    np.testing.assert_allclose(ours.mean[0], np.asarray(prediction.predicted_mean), rtol=1e-6)
    np.testing.assert_allclose(ours.lower[0.95][0], np.maximum(interval[:, 0], 0), rtol=1e-6)
    np.testing.assert_allclose(ours.upper[0.95][0], interval[:, 1], rtol=1e-6)


def test_components_find_what_was_planted_and_add_up() -> None:
    days = 190
    y = office_panel(1, days, seed=3, noise=0.03)[0]
    size = y.mean()
    calendar = [START + timedelta(days=k) for k in range(days)]
    y[[is_month_end(day) for day in calendar]] += 0.5 * size
    launch = PlannedEvent("launch", calendar[120])
    y[120:] += 0.8 * size
    parts = explain_series(y, start=START, events=[launch])
    effect, error = parts.effects["launch"]
    assert abs(effect - 0.8 * size) < max(3 * error, 0.15 * size)
    effect, error = parts.effects["month end"]
    assert abs(effect - 0.5 * size) < max(3 * error, 0.1 * size)
    rebuilt = parts.level + parts.week + sum(parts.regressors.values())
    assert np.abs(rebuilt - y)[14:].mean() < 0.1 * size
    assert (parts.regressors["launch"][:120] == 0).all()


def test_a_recurring_event_moves_the_components_forecast_on_its_next_day() -> None:
    y = office_panel(1, 150, seed=4, noise=0.03)
    past = [40, 75, 110, 140]
    y[0, past] *= 2
    events = [PlannedEvent("reindex", START + timedelta(days=k), START + timedelta(days=k)) for k in (*past, 153)]
    aware = forecast_panel(y, start=START, horizon=7, engine="uc", events=events)
    unaware = forecast_panel(y, start=START, horizon=7, engine="uc")
    assert aware.model == ("uc",)
    assert aware.mean[0, 3] > 1.6 * unaware.mean[0, 3]
    assert abs(aware.mean[0, 2] / unaware.mean[0, 2] - 1) < 0.2


def test_the_components_engine_takes_gaps_as_unknown() -> None:
    y = office_panel(1, 150, noise=0.05)
    holed = y.copy()
    holed[0, 80:90] = np.nan
    whole = forecast_panel(y, start=START, horizon=7, engine="uc")
    gaps = forecast_panel(holed, start=START, horizon=7, engine="uc")
    assert gaps.model == ("uc",)
    np.testing.assert_allclose(gaps.mean, whole.mean, rtol=0.1)


def test_gaps_are_filled_from_their_weekday() -> None:
    values = np.tile(np.arange(7.0), 5)
    values[[10, 20, 34]] = np.nan
    np.testing.assert_allclose(fill_gaps(values), np.tile(np.arange(7.0), 5))


@pytest.mark.parametrize("values", [np.arange(20.0), np.full(100, 3.0), np.full(50, np.nan)])
def test_what_cannot_be_explained_is_said_to_be(values: np.ndarray) -> None:
    with pytest.raises(EngineUnfit):
        explain_series(values, start=START)
