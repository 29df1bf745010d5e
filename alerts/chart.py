"""The picture of a break: 90 days, the expected band, the actual line, the break marked.

A solid light card, so that it reads the same in Slack's light and dark themes, with type large
enough for a phone. matplotlib is imported on first use, with the Agg canvas and without pyplot:
no global state, and several figures may be drawn at once.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.figures import format_short_day
from alerts.model import ChartSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_PIXELS = 1200
HEIGHT_PIXELS = 675
_DPI = 150
_FONT = "DejaVu Sans"  # comes with matplotlib, so that a chart looks the same on every machine
_CARD = "#ffffff"
_INK = "#1d1c1d"
_QUIET = "#616061"
_GRID = "#e8e8ea"
_BAND = "#d6e4f5"
_EXPECTED = "#7a9cc6"
_ACTUAL = "#34495e"
_OVER = "#d1242f"
_UNDER = "#1a7f37"


def draw(chart: ChartSeries, *, title: str, onset: date | None, last_day: date | None = None) -> bytes:
    """A PNG of 1200 × 675 pixels.

    `chart`: arrays of one length, NaN where unknown; `onset`: first day of the break, or None;
    `last_day`: its last day, None while it lasts. The same arguments give the same bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chart = _end_with_the_data(chart)
    days = [chart.start + timedelta(days=n) for n in range(len(chart.actual))]
    figure = Figure(figsize=(WIDTH_PIXELS / _DPI, HEIGHT_PIXELS / _DPI), dpi=_DPI, facecolor=_CARD)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.095, 0.125, 0.765, 0.655))
    axes.set_facecolor(_CARD)

    span = _find_span(chart.start, len(days), onset, last_day)
    colour = _draw_series(axes, chart, span)
    longest = max(map(len, _draw_axes(axes, chart, days)), default=0)
    left = 0.095 + 0.014 * max(0, longest - 6)  # six characters of a tick fit, and eight of a figure at the end
    right = 0.86 - 0.0155 * max(0, max(map(len, _name_ends(chart, axes.get_ylim()[1])), default=0) - 8)
    axes.set_position((left, 0.125, right - left, 0.655))
    if span is not None:
        _mark_break(axes, span, days, is_over=last_day is not None, colour=colour)
    _label_ends(axes, chart, colour if span is not None and span.stop == len(days) else _ACTUAL)

    last = days[-1] if days else chart.start
    subtitle = f"{_describe_unit(chart)}, {len(days)} days to {format_short_day(last)}"
    heading = _shorten(_drawable(title), 64)
    _write(figure.text, 0.03, 0.915, heading, size=15.5 if len(heading) <= 48 else 12.5, colour=_INK, weight="bold")
    _write(figure.text, 0.03, 0.842, subtitle, size=12, colour=_QUIET)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, facecolor=_CARD, metadata={"Software": None})
    return picture.getvalue()


def _end_with_the_data(chart: ChartSeries) -> ChartSeries:
    """Without the days at the end that nothing is known of: features' sources settle at their own pace."""
    known = np.flatnonzero(np.isfinite(chart.actual))
    stop = int(known[-1]) + 1 if known.size else len(chart.actual)
    ends = {name: getattr(chart, name)[:stop] for name in ("actual", "expected", "lower", "upper")}
    return replace(chart, **ends)


def _write(place: Callable[..., Any], x: float, y: float, text: str, *, size: float, colour: str, **more: Any) -> Any:
    # parse_math: two dollar signs in one text would otherwise be a formula.
    return place(x, y, text, fontsize=size, color=colour, fontfamily=_FONT, parse_math=False, **more)


def _find_span(start: date, length: int, onset: date | None, last_day: date | None) -> range | None:
    """The break's days as positions in the series; None where they are not in it."""
    if onset is None:
        return None
    first = max((onset - start).days, 0)
    stop = length if last_day is None else min((last_day - start).days + 1, length)
    return range(first, stop) if first < stop else None


def _draw_series(axes: Axes, chart: ChartSeries, span: range | None) -> str:
    x = np.arange(len(chart.actual))
    lower = np.maximum(chart.lower, 0)
    axes.fill_between(x, lower, np.maximum(chart.upper, lower), color=_BAND, linewidth=0, zorder=1)
    axes.plot(x, chart.expected, color=_EXPECTED, linewidth=1.5, linestyle=(0, (4, 3)), zorder=2)
    axes.plot(x, chart.actual, color=_ACTUAL, linewidth=2.0, solid_capstyle="round", zorder=3)
    if span is None:
        return _ACTUAL
    excess = np.nansum(chart.actual[span.start : span.stop] - chart.expected[span.start : span.stop])
    colour = _OVER if excess >= 0 else _UNDER
    axes.axvspan(span.start - 0.5, span.stop - 0.5, color=colour, alpha=0.08, linewidth=0, zorder=0)
    # From the day before to the day after, so that the line does not break.
    near = slice(max(span.start - 1, 0), min(span.stop + 1, len(x)))
    axes.plot(x[near], chart.actual[near], color=colour, linewidth=3.0, solid_capstyle="round", zorder=4)
    return colour


def _draw_axes(axes: Axes, chart: ChartSeries, days: list[date]) -> list[str]:
    """Returns the texts at the ticks of the dollars."""
    from matplotlib.ticker import MaxNLocator

    figures = np.concatenate([chart.actual, chart.upper, chart.expected])
    figures = figures[np.isfinite(figures)]
    top = float(figures.max()) if figures.size else 1.0
    axes.set_ylim(0, top * 1.16 if top > 0 else 1.0)
    axes.set_xlim(-0.5, max(len(days), 1) - 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3))
    places = [figure for figure in axes.get_yticks() if 0 <= figure <= axes.get_ylim()[1]]
    texts = _trim([_format_tick(figure, chart.unit, top) for figure in places])
    axes.set_yticks(places, texts)
    mondays = [n for n, day in enumerate(days) if day.weekday() == 0]
    step = max(1, round(len(mondays) / 5))
    ticks = mondays[::-1][::step][::-1]
    axes.set_xticks(ticks, [format_short_day(days[n]) for n in ticks])
    for text in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        text.set(fontsize=12, color=_QUIET, fontfamily=_FONT, parse_math=False)
    axes.grid(axis="y", color=_GRID, linewidth=0.9, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#c8c8cc")
    return texts


def _mark_break(axes: Axes, span: range, days: list[date], *, is_over: bool, colour: str) -> None:
    axes.axvline(span.start - 0.5, color=colour, linewidth=1.3, linestyle=(0, (3, 2)), zorder=3)
    first = format_short_day(days[span.start])
    text = f"since {first}"
    if is_over:
        axes.axvline(span.stop - 0.5, color=colour, linewidth=1.3, linestyle=(0, (3, 2)), zorder=3)
        text = first if len(span) == 1 else f"{first} to {format_short_day(days[span.stop - 1])}"
    is_right = span.start > len(days) * 0.4
    _write(
        axes.text,
        span.start - 0.5 + (-0.01 if is_right else 0.01) * len(days),
        0.97,
        text,
        size=12.5,
        colour=colour,
        weight="bold",
        transform=axes.get_xaxis_transform(),
        ha="right" if is_right else "left",
        va="top",
        zorder=5,
    )


def _label_ends(axes: Axes, chart: ChartSeries, colour: str) -> None:
    """Figures at the end of the two lines instead of a legend, kept apart where they would overlap."""
    known = np.flatnonzero(np.isfinite(chart.actual))
    if not known.size:
        return
    last = int(known[-1])
    low, high = axes.get_ylim()
    actual = float(chart.actual[last])
    axes.plot([last], [actual], marker="o", markersize=7.5, color=colour, zorder=6, clip_on=False)
    labels = [(actual, "actual", colour)]
    if np.isfinite(chart.expected[last]):
        labels.append((float(chart.expected[last]), "expected", _EXPECTED))
    room = (high - low) * 0.165
    if len(labels) == 2 and abs(labels[0][0] - labels[1][0]) < room:
        middle = (labels[0][0] + labels[1][0]) / 2
        side = 1 if labels[0][0] >= labels[1][0] else -1
        places = [middle + side * room / 2, middle - side * room / 2]
    else:
        places = [figure for figure, _, _ in labels]
    lift = max(0.0, low + (high - low) * 0.07 - min(places))
    transform = axes.transData
    for place, (figure, word, shade) in zip(places, labels, strict=True):
        text = f"{_format_tick(figure, chart.unit, high)}\n{word}"
        _write(
            axes.text,
            len(chart.actual) - 0.5 + len(chart.actual) * 0.014,
            place + lift,
            text,
            size=12.5,
            colour="#4a6fa5" if word == "expected" else shade,
            weight="bold" if word == "actual" else "normal",
            transform=transform,
            ha="left",
            va="center",
            linespacing=1.15,
            clip_on=False,
            zorder=7,
        )


def _name_ends(chart: ChartSeries, top: float) -> list[str]:
    return [
        _format_tick(float(series[-1]), chart.unit, top)
        for series in (chart.actual, chart.expected)
        if series.size and np.isfinite(series[-1])
    ]


def _describe_unit(chart: ChartSeries) -> str:
    words = {
        "usd": "US dollars a day",
        "usd_per_day": "US dollars a day",
        "usd_per_task": "US dollars per task",
        "usd_per_call": "US dollars per call",
        "usd_per_successful_task": "US dollars per successful task",
        "usd_without_success_per_day": "US dollars a day for tasks that did not succeed",
    }
    return words.get(chart.unit, f"{chart.unit.replace('_', ' ')} a day")


def _format_tick(figure: float, unit: str, top: float) -> str:
    sign = "$" if unit.startswith("usd") else ""
    size = abs(figure)
    if size >= 1_000_000:
        return f"{sign}{figure / 1_000_000:.3g}M"
    if size >= 10_000:
        return f"{sign}{figure / 1_000:.3g}k"
    if top >= 20 or size == 0 or top <= 0:
        return f"{sign}{figure:,.0f}"
    # Three digits at the top: a call may cost a thousandth of a cent.
    places = min(max(2, 1 - math.floor(math.log10(top / 2))), 9)
    return f"{sign}{figure:,.{places}f}"


def _trim(texts: list[str]) -> list[str]:
    """Without the zeros that all of them end with, but for cents."""
    if not all(text[-1:].isdigit() for text in texts):
        return texts
    digits = max((len(text.partition(".")[2].rstrip("0")) for text in texts), default=0)
    kept = max(digits, 2) if digits else 0
    return [f"{whole}{dot}{part[:kept]}".rstrip(".") for whole, dot, part in (text.partition(".") for text in texts)]


def _shorten(text: str, limit: int) -> str:
    """At most `limit` characters: names are cut in the middle, figures stand at the end."""
    if len(text) <= limit:
        return text
    _, _, end = text[-limit * 2 // 3 :].partition(" ")
    return f"{text[: limit - 1 - len(end)].rstrip()}…{end}"


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())


def _drawable(text: str) -> str:
    """The text without what the font has no glyph for (emoji), single-spaced."""
    return " ".join("".join(c if ord(c) in _glyphs() else " " for c in text if ord(c) != 0xFE0F).split()).strip("· ")
