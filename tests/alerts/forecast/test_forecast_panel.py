"""The contract of forecast_panel: every panel a bill can make has a forecast, and its intervals are intervals."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.forecast import ENGINES, PlannedEvent, forecast_panel
from alerts.forecast.engines import forget_pauses
from tests.alerts.forecast.series import START, office_panel

NAN = float("nan")


def assert_sound(y: np.ndarray, horizon: int) -> None:
    forecast = forecast_panel(y, start=START, horizon=horizon)
    n, days = y.shape
    assert forecast.start == START + timedelta(days=days)
    assert len(forecast.model) == n
    known = np.isfinite(y).any(axis=1)
    for part in (forecast.mean, *forecast.lower.values(), *forecast.upper.values()):
        assert part.shape == (n, horizon)
        assert part.dtype == np.float64
        assert np.isfinite(part[known]).all()
        assert np.isnan(part[~known]).all()
    assert (forecast.lower[0.95][known] <= forecast.lower[0.8][known] + 1e-9).all()
    assert (forecast.lower[0.8][known] <= forecast.mean[known] + 1e-9).all()
    assert (forecast.mean[known] <= forecast.upper[0.8][known] + 1e-9).all()
    assert (forecast.upper[0.8][known] <= forecast.upper[0.95][known] + 1e-9).all()
    never_negative = known & ~(np.nan_to_num(y) < 0).any(axis=1)
    assert (forecast.lower[0.95][never_negative] >= 0).all()


CELLS = st.one_of(
    st.just(0.0), st.just(NAN), st.floats(0.01, 5000.0), st.floats(-200.0, -0.01), st.sampled_from([1e-6, 100.0, 1e7])
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=40), min_size=1, max_size=4),
    repeats=st.integers(1, 5),
    horizon=st.integers(1, 40),
)
def test_any_panel_has_a_sound_forecast(rows: list[list[float]], repeats: int, horizon: int) -> None:
    days = max(len(row) for row in rows) * repeats
    y = np.full((len(rows), days), np.nan)
    for k, row in enumerate(rows):
        values = row * repeats
        y[k, days - len(values) :] = values
    assert_sound(y, horizon)


@pytest.mark.parametrize("horizon", [1, 6, 14, 61, 90])
def test_the_cases_a_bill_makes_in_one_panel(horizon: int) -> None:
    y = office_panel(9, 200)
    y[1, :197] = np.nan  # three days old
    y[2, :199] = np.nan  # one day old
    y[3] = np.nan  # known by its usage only
    y[4] = 0.0
    y[5] = 42.0
    y[6, 60:75] = np.nan  # unknown days inside
    y[7, ::9] = -30.0  # credits
    y[8, 150:] = 0.0  # switched off
    assert_sound(y, horizon)


def test_the_same_panel_gives_the_same_forecast_to_the_last_bit() -> None:
    y = office_panel(12, 300)
    first = forecast_panel(y, start=START, horizon=30)
    second = forecast_panel(y.copy(), start=START, horizon=30)
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.upper[0.95], second.upper[0.95])


def test_the_input_is_left_as_it_was() -> None:
    y = office_panel(3, 90)
    y[0, :30] = np.nan
    before = y.copy()
    forecast_panel(y, start=START, horizon=14)
    np.testing.assert_array_equal(y, before)


def test_the_unit_of_money_does_not_matter() -> None:
    y = office_panel(8, 250)
    dollars = forecast_panel(y, start=START, horizon=14)
    cents = forecast_panel(y * 100, start=START, horizon=14)
    np.testing.assert_allclose(cents.mean, dollars.mean * 100, rtol=1e-4)
    np.testing.assert_allclose(cents.upper[0.95], dollars.upper[0.95] * 100, rtol=1e-3)


def test_days_before_a_series_existed_do_not_matter() -> None:
    y = office_panel(6, 180)
    padded = np.concatenate([np.full((6, 70), np.nan), y], axis=1)
    plain = forecast_panel(y, start=START, horizon=14)
    late = forecast_panel(padded, start=START - timedelta(days=70), horizon=14)
    np.testing.assert_allclose(late.mean, plain.mean, rtol=1e-3)


def test_a_constant_series_is_forecast_exactly_and_tightly() -> None:
    y = np.full((1, 120), 64.0)
    forecast = forecast_panel(y, start=START, horizon=31)
    np.testing.assert_allclose(forecast.mean, 64.0, rtol=1e-5)
    assert (forecast.upper[0.95] - forecast.lower[0.95] < 0.05 * 64).all()


def test_a_series_that_stopped_is_forecast_to_stay_off_and_only_at_first_allowed_to_return() -> None:
    y = office_panel(2, 160)
    y[0, -10:] = 0.0
    y[1, -60:] = 0.0
    forecast = forecast_panel(y, start=START, horizon=14)
    assert forecast.model == ("off", "off")
    assert (forecast.mean == 0).all()
    assert (forecast.upper[0.95][0] > 0).all()
    assert (forecast.upper[0.8][0] == 0).all()
    assert (forecast.upper[0.95][1] == 0).all()


def test_weekends_off_are_not_a_stop() -> None:
    y = office_panel(1, 140)
    y[0, [k for k in range(140) if (START + timedelta(days=k)).weekday() >= 5]] = 0.0
    forecast = forecast_panel(y, start=START, horizon=7)
    weekday = np.array([(forecast.start + timedelta(days=k)).weekday() for k in range(7)])
    assert forecast.model == ("ensemble",)
    assert forecast.mean[0, weekday >= 5].max() < 0.1 * forecast.mean[0, weekday < 5].min()


@pytest.mark.parametrize("place", [0, 120, 199])
@pytest.mark.parametrize("factor", [1e3, 1e4, 1e10])
def test_one_day_that_dwarfs_all_others_leaves_the_forecast_where_it_was(place: int, factor: float) -> None:
    y = office_panel(6, 200)
    usual = forecast_panel(y, start=START, horizon=14)
    y[0, place] *= factor
    forecast = forecast_panel(y, start=START, horizon=14)
    np.testing.assert_allclose(forecast.mean[0], usual.mean[0], rtol=0.1)
    assert (forecast.upper[0.95][0] < 3 * usual.upper[0.95][0]).all()


def test_the_explaining_engines_are_not_moved_by_such_a_day_either() -> None:
    y = office_panel(1, 120)
    y[0, 60] *= 1e6
    forecast = forecast_panel(y, start=START, horizon=7, engine="ets")
    assert forecast.model == ("ets",)
    assert (forecast.mean[0] < 3 * np.median(y)).all()


@pytest.mark.parametrize("before", [0.0, 100.0])
def test_a_series_that_is_back_after_a_pause_is_forecast_from_the_days_on_which_it_ran(before: float) -> None:
    quiet = office_panel(12, 200, seed=5)
    widths = {}
    for back in (1, 3, 9, 30):
        y = quiet.copy()
        y[0, : 160 - back] *= before / 100
        y[0, 160 - back : 200 - back] = 0.0
        forecast = forecast_panel(y, start=START, horizon=14)
        level = y[0, 200 - back :].mean()
        assert forecast.model[0] == "ensemble"
        assert 0.3 * level < forecast.mean[0].mean() < 1.6 * level, back
        assert (forecast.upper[0.95][0] > np.maximum(forecast.mean[0], 0.5 * level)).all(), back
        if back < 7:
            assert (forecast.lower[0.8][0] == 0).all()  # it may have been one more job
        widths[back] = (forecast.upper[0.95][0] - forecast.lower[0.95][0]).mean() / level
    assert widths[30] < widths[3]
    assert widths[30] > 0.2  # the zeros taught it no certainty


def test_jobs_far_apart_are_no_pauses() -> None:
    y = np.zeros((1, 200))
    y[0, ::10] = 300.0
    assert (np.isnan(forget_pauses(y)) == 0).all()
    forecast = forecast_panel(y, start=START, horizon=14)
    assert forecast.mean.sum() < 2 * 300


def test_the_young_are_told_with_wider_intervals_that_narrow_with_age() -> None:
    y = office_panel(20, 200, seed=3)
    widths = []
    for age in (1, 3, 10, 28, 120):
        young = y.copy()
        young[0, :-age] = np.nan
        forecast = forecast_panel(young, start=START, horizon=7)
        widths.append(float((forecast.upper[0.95][0] - forecast.lower[0.95][0]).mean() / forecast.mean[0].mean()))
    assert widths[0] > widths[1] > widths[2] > widths[4]
    assert widths[0] > 1.5
    assert widths[3] > widths[4]


@pytest.mark.parametrize(
    ("y", "horizon", "levels", "engine", "message"),
    [
        (np.ones(10), 7, (0.8,), "ensemble", "series, days"),
        (np.ones((2, 0)), 7, (0.8,), "ensemble", "at least one day"),
        (np.ones((2, 10)), 0, (0.8,), "ensemble", "horizon"),
        (np.ones((2, 10)), 7, (80,), "ensemble", "levels"),
        (np.ones((2, 10)), 7, (0.8,), "prophet", "unknown engine 'prophet'"),
        (np.ones((2, 10)), 7, (0.8,), ["ensemble"], "1 engines for 2 series"),
    ],
)
def test_what_is_refused(y: np.ndarray, horizon: int, levels: tuple[float, ...], engine: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast_panel(y, start=START, horizon=horizon, levels=levels, engine=engine)


def test_an_empty_panel_has_an_empty_forecast() -> None:
    forecast = forecast_panel(np.empty((0, 50)), start=START, horizon=7)
    assert forecast.mean.shape == (0, 7)
    assert forecast.model == ()


def test_a_planned_event_moves_the_mean_or_widens_the_interval_from_its_day_on() -> None:
    y = office_panel(3, 150)
    begin = START + timedelta(days=150)
    launch = PlannedEvent("launch", begin + timedelta(days=5), series=(0,), expected_change=0.5)
    migration = PlannedEvent("migration", begin + timedelta(days=2), begin + timedelta(days=3), series=(1,))
    past = PlannedEvent("price change", START + timedelta(days=100), series=(2,), expected_change=-0.5)
    plain = forecast_panel(y, start=START, horizon=14)
    planned = forecast_panel(y, start=START, horizon=14, events=[launch, migration, past])
    np.testing.assert_allclose(planned.mean[0, 5:], 1.5 * plain.mean[0, 5:])
    np.testing.assert_array_equal(planned.mean[0, :5], plain.mean[0, :5])
    np.testing.assert_array_equal(planned.mean[1], plain.mean[1])
    wider = planned.upper[0.8][1] - planned.mean[1] > 1.5 * (plain.upper[0.8][1] - plain.mean[1])
    assert list(np.flatnonzero(wider)) == [2, 3]
    np.testing.assert_array_equal(planned.mean[2], plain.mean[2])  # its effect is in the history already


def test_only_the_engines_that_need_statsmodels_import_it() -> None:
    program = """
import sys
from datetime import date
import numpy as np
from alerts.forecast import budget_outlook, forecast_panel, month_end, backtest, choose
y = np.random.default_rng(1).uniform(50, 60, (4, 120))
forecast = forecast_panel(y, start=date(2026, 1, 1), horizon=61)
month_end(y, forecast)
budget_outlook(y, forecast, [1000, None, None, None])
choose(backtest(y, start=date(2026, 1, 1), engines=("ensemble", "theta", "seasonal_naive"), windows=2), series=4)
roots = {name.split(".")[0] for name in sys.modules}
assert not roots & {"statsmodels", "scipy", "pandas", "prefect", "matplotlib"}
forecast_panel(y, start=date(2026, 1, 1), horizon=7, engine=["ensemble", "ets", "ensemble", "ensemble"])
assert "statsmodels" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_engine_name_works_on_every_row() -> None:
    y = office_panel(3, 120)
    y[1, :100] = np.nan  # too young for statsmodels
    for engine in ENGINES:
        forecast = forecast_panel(y, start=START, horizon=7, engine=engine)
        assert forecast.model[0] == engine
        assert np.isfinite(forecast.mean).all()
        if engine in ("ets", "uc"):
            assert forecast.model[1] == "ensemble"
    mixed = forecast_panel(y, start=date(2025, 1, 1), horizon=7, engine=["theta", "ensemble", "seasonal_naive"])
    assert mixed.model == ("theta", "ensemble", "seasonal_naive")
