"""Reading back: onset, size, and what would have been."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.onset import Shift, find_last_day, fit_shift, soft_shift
from tests.alerts.breaks.worlds import START, draw_cost

Floats = NDArray[np.float64]
DAYS = 130


def fit(y: Floats, *, alarm: int, direction: int = 1, **given: object) -> Shift | None:
    return fit_shift(
        y,
        start=START,
        through=len(y) - 1,
        first_alarm=alarm,
        direction=direction,
        shift=5.0,
        **given,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0])
def test_a_step(seed: int, factor: float) -> None:
    y = draw_cost(DAYS, seed=seed)
    usual = y.copy()
    y[118:] *= factor
    shift = fit(y, alarm=120, direction=1 if factor > 1 else -1)
    assert shift is not None
    assert (shift.shape, shift.onset) == ("step", 118)
    assert shift.size == pytest.approx(np.log(factor), abs=0.15)
    assert shift.noise == pytest.approx(0.06, abs=0.02)
    assert shift.expected[118:].mean() == pytest.approx(usual[118:].mean(), rel=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_a_drift(seed: int) -> None:
    y = draw_cost(DAYS, seed=seed)
    usual = y.copy()
    y[109:] *= 1.03 ** np.arange(1, 22)
    shift = fit(y, alarm=117)
    assert shift is not None
    assert shift.shape == "drift"
    assert abs(shift.onset - 109) <= 4
    assert shift.size == pytest.approx(21 * np.log(1.03), abs=0.15)
    assert shift.expected[123:].mean() == pytest.approx(usual[123:].mean(), rel=0.12)


def test_a_weekend() -> None:
    y = draw_cost(DAYS, weekend=0.3)
    y[124:126] /= 0.3  # a Saturday and a Sunday
    shift = fit(y, alarm=124)
    assert shift is not None
    assert (shift.onset, shift.end) == (124, 125)


def test_an_older_level_change_is_no_part_of_it() -> None:
    y = draw_cost(DAYS)
    y[60:] *= 1.8
    y[120:] *= 1.4
    shift = fit(y, alarm=121, earlier=[(60, 1)])
    assert shift is not None
    assert shift.onset == 120
    assert shift.size == pytest.approx(np.log(1.4), abs=0.1)


def test_back_to_normal_is_a_return() -> None:
    y = draw_cost(DAYS)
    y[90:110] *= 2
    down = fit(y, alarm=112, direction=-1, earlier=[(90, 1)])
    assert down is not None
    assert down.is_return
    deeper = y.copy()
    deeper[110:] *= 0.4
    down = fit(deeper, alarm=112, direction=-1, earlier=[(90, 1)])
    assert down is not None
    assert not down.is_return


def test_the_other_direction_is_not_found() -> None:
    y = draw_cost(DAYS, noise=0.02)
    y[118:] *= 2
    found = fit(y, alarm=129, direction=-1)
    assert found is None or found.t_statistic < 3


def test_too_little_before_it() -> None:
    y = draw_cost(DAYS)
    y[:115] = np.nan
    assert fit(y, alarm=120) is None


def test_the_range_holds_19_days_of_20() -> None:
    y = draw_cost(DAYS, seed=3)
    y[122:] *= 2
    shift = fit(y, alarm=123)
    assert shift is not None
    quiet = slice(20, 122)
    inside = (y[quiet] > shift.lower[quiet]) & (y[quiet] < shift.upper[quiet])
    assert 0.88 <= inside.mean() <= 1.0


def test_the_last_day() -> None:
    y = draw_cost(DAYS)
    y[110:119] *= 2
    shift = fit_shift(y, start=START, through=110, first_alarm=110, direction=1, shift=5.0)
    assert shift is not None
    surprise = shift.surprise(y, 5.0)
    assert find_last_day(shift, surprise, alarm=110, through=DAYS - 1, direction=1) == 118
    assert find_last_day(shift, surprise, alarm=110, through=114, direction=1) == 114
    surprise[112:115] = np.nan
    assert find_last_day(shift, surprise, alarm=110, through=DAYS - 1, direction=1) == 118


def test_soft_shift() -> None:
    assert soft_shift(np.array([np.nan, 100.0, 300.0, 1e9]), 3) == pytest.approx(4.0)
    assert soft_shift(np.full(5, np.nan), 5) > 0
