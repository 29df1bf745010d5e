"""The picture: its size, that it is the same every time, and that no series or name breaks it."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from matplotlib.image import imread

from alerts.chart import draw
from alerts.model import ChartSeries
from tests.alerts.stories import ONSET, make_chart


def size_of(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_size_and_repeatability() -> None:
    first = draw(make_chart(), title="support_chat +$412/day (+111%)", onset=ONSET)
    assert size_of(first) == (1200, 675)
    assert draw(make_chart(), title="support_chat +$412/day (+111%)", onset=ONSET) == first
    assert len(first) < 150_000


def test_the_break_is_in_the_picture() -> None:
    chart = make_chart()
    pictures = {
        draw(chart, title="t", onset=None),
        draw(chart, title="t", onset=ONSET),
        draw(chart, title="t", onset=ONSET, last_day=ONSET + timedelta(days=1)),
        draw(replace(chart, actual=chart.expected * 0.3), title="t", onset=ONSET),
    }
    assert len(pictures) == 4


@pytest.mark.parametrize(
    "title",
    ["🔴 High · $a and $b^{x}_y", "", "x" * 500, "名前 ünïcödé", "\\frac{a}{b} %s {0} \n two lines", "<!channel>"],
)
def test_any_title(title: str) -> None:
    assert size_of(draw(make_chart(), title=title, onset=ONSET)) == (1200, 675)


def series(actual: list[float], unit: str = "usd") -> ChartSeries:
    figures = np.array(actual, dtype=np.float64)
    return ChartSeries(date(2026, 11, 1), "cost", unit, figures, figures * 0.9, figures * 0.8, figures * 1.1)


@pytest.mark.parametrize(
    "chart",
    [
        series([float("nan")] * 10),
        series([0.0] * 30),
        series([5.0]),
        series([float("nan")] * 5 + [3.0, 4.0, float("nan"), 6.0]),
        series([1e-6] * 20),
        series([1e9] * 20),
        series([120.0] * 20, unit="tasks"),
        make_chart(base=0.022, jump=0.019, unit="usd_per_successful_task"),
    ],
)
def test_any_series(chart: ChartSeries) -> None:
    for onset in (None, chart.start, chart.start - timedelta(days=9), chart.start + timedelta(days=400)):
        assert size_of(draw(chart, title="t", onset=onset)) == (1200, 675)


@pytest.mark.parametrize("usd", [2.3e-5, 0.0048, 0.35, 41.0, 8e5, 3e6])
def test_no_figure_is_cut_at_an_edge(usd: float) -> None:
    picture = imread(io.BytesIO(draw(make_chart(base=usd, jump=usd), title="x" * 90, onset=ONSET)))[:, :, :3]
    assert picture[:, :4].min() == picture[:, -4:].min() == 1  # all white


def test_of_a_long_title_the_name_is_cut_and_no_figure() -> None:
    name = "High · " + "a_long_name_" * 6
    end = "+$1,702/day (+{}%), over since 16 Nov"
    first, second = (draw(make_chart(), title=f"{name} {end.format(n)}", onset=ONSET) for n in (8, 9))
    assert first != second


def test_no_global_state_of_matplotlib() -> None:
    code = (
        "import sys\n"
        "import alerts.slack, alerts.sinks, alerts.message, alerts.incidents\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from alerts.chart import draw\n"
        "from tests.alerts.stories import make_chart, ONSET\n"
        "draw(make_chart(), title='t', onset=ONSET)\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
