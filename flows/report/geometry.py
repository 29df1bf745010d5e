"""Series of numbers → SVG paths. Coordinates are in a viewBox that the page stretches to its width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Series = Sequence[float | None]


@dataclass(frozen=True)
class Scale:
    """Maps (index, value) to (x, y); y grows downwards."""

    count: int
    low: float
    high: float
    width: float
    height: float
    padding: float = 2.0

    def x(self, index: float) -> float:
        return self.width / 2 if self.count < 2 else index / (self.count - 1) * self.width

    def y(self, value: float) -> float:
        span = self.high - self.low
        share = 0.5 if span <= 0 else (value - self.low) / span
        return self.padding + (1 - share) * (self.height - 2 * self.padding)


def scale_for(*series: Series, width: float, height: float, from_zero: bool = True, padding: float = 2.0) -> Scale:
    """One scale for all series; with `from_zero` it starts at 0."""
    values = [value for one in series for value in one if value is not None and math.isfinite(value)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = low + 1.0
    return Scale(max((len(one) for one in series), default=1), low, high, width, height, padding)


def line(series: Series, scale: Scale, *, first: int = 0) -> str:
    """An SVG path; a day that is not known is a gap. A lone day becomes a short dash."""
    parts: list[str] = []
    run: list[tuple[float, float]] = []
    for index, value in enumerate((*series, None)):
        if value is not None and math.isfinite(value):
            run.append((scale.x(first + index), scale.y(value)))
            continue
        if len(run) == 1:
            run.append((run[0][0] + 0.5, run[0][1]))
        if run:
            parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run))
        run = []
    return "".join(parts)


def band(lower: Series, upper: Series, scale: Scale, *, first: int = 0) -> str:
    """The area between two series, over the days on which both are known."""
    points = [
        (scale.x(first + index), scale.y(low), scale.y(high))
        for index, (low, high) in enumerate(zip(lower, upper, strict=True))
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    ]
    if len(points) < 2:
        return ""
    up = "L".join(f"{x:.1f} {top:.1f}" for x, _, top in points)
    down = "L".join(f"{x:.1f} {bottom:.1f}" for x, bottom, _ in reversed(points))
    return f"M{up}L{down}Z"


def area(series: Series, scale: Scale, *, first: int = 0) -> str:
    """The area between a series and the bottom of the scale, over its known days."""
    return band([None if value is None else scale.low for value in series], series, scale, first=first)


def ticks(high: float, count: int = 4) -> list[float]:
    """Round numbers from 0 up to at least `high`: 0, 5k, 10k, …"""
    if high <= 0:
        return [0.0, 1.0]
    rough = high / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    return [index * step for index in range(math.ceil(high / step - 1e-9) + 1)]


def moving_mean(series: Series, days: int) -> list[float | None]:
    """Mean of the last `days` known values up to each day: a sparkline without the weekly teeth."""
    means: list[float | None] = []
    for index in range(len(series)):
        known = [value for value in series[max(0, index - days + 1) : index + 1] if value is not None]
        means.append(sum(known) / len(known) if known else None)
    return means
