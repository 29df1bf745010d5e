"""Paths stay inside their box, whatever the series."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.report import geometry

DAYS = st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1, max_size=120)


def points(path: str) -> list[tuple[float, float]]:
    assert "nan" not in path
    assert "inf" not in path
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


@given(series=DAYS)
def test_a_line_has_a_point_for_every_known_day_and_stays_inside(series: list[float | None]) -> None:
    scale = geometry.scale_for(series, width=160, height=36)
    found = points(geometry.line(series, scale))
    known = [value for value in series if value is not None]
    assert len(found) >= len(known)
    for x, y in found:
        assert -0.1 <= x <= 160.6
        assert -0.1 <= y <= 36.1


@given(series=DAYS)
def test_areas_close(series: list[float | None]) -> None:
    scale = geometry.scale_for(series, width=160, height=36)
    path = geometry.area(series, scale)
    known = sum(value is not None for value in series)
    assert path.endswith("Z") == (known >= 2)
    assert len(points(path)) == (2 * known if known >= 2 else 0)


def test_a_gap_parts_the_line() -> None:
    scale = geometry.Scale(5, 0, 4, 4, 4, padding=0)
    assert geometry.line([0.0, 1.0, None, 3.0, 4.0], scale) == "M0.0 4.0L1.0 3.0M3.0 1.0L4.0 0.0"
    assert geometry.line([None, math.nan, None], scale) == ""


@given(high=st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_reach_the_top(high: float) -> None:
    marks = geometry.ticks(high)
    assert marks[0] == 0
    assert marks[-1] >= high * (1 - 1e-6)
    assert 2 <= len(marks) <= 6
    step = marks[1]
    assert f"{step:.3e}"[0] in "125"


@pytest.mark.parametrize("high", [0.0, -5.0])
def test_ticks_of_nothing(high: float) -> None:
    assert geometry.ticks(high) == [0.0, 1.0]


def test_moving_mean_takes_known_days_only() -> None:
    assert geometry.moving_mean([1.0, None, 3.0, 5.0], 2) == [1.0, 1.0, 3.0, 4.0]
    assert geometry.moving_mean([None, None], 7) == [None, None]
