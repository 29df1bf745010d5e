"""What goes into a forecast and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from alerts.forecast.ensemble import RollingForecast

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlannedEvent:
    """Something known in advance: a launch, a migration, a price change, a holiday.

    It acts on the days from `start` to `end` (both included; without an end it stays) and on the panel's rows in
    `series` (all of them when None). `expected_change` is the change it should make (+0.3 is +30%); None when nobody
    can say, which widens the intervals and leaves the mean alone. Events of one name are one regressor to the
    explaining engines: last year's Christmas teaches them this year's.
    """

    name: str
    start: date
    end: date | None = None
    series: tuple[int, ...] | None = None
    expected_change: float | None = None

    def covers(self, day: date) -> bool:
        return self.start <= day and (self.end is None or day <= self.end)

    def touches(self, row: int) -> bool:
        return self.series is None or row in self.series


@dataclass(frozen=True)
class PanelForecast:
    """Forecast of n daily series, h days ahead; column k is the day `start + k`.

    `mean[n, h]`; `lower` and `upper`: level (0.8, 0.95) -> [n, h]; `model[n]`: the engine behind each row, "off" for a
    series that has stopped, "none" for one without a known day (its figures are NaN). All in the units of the history.
    `rolled` is the ensemble's forecast with its rolling-origin errors, whatever the row's engine: intervals of sums
    (`month_end`) are made of them. `stretch[n, h]`: how much planned events widen the errors, 1 = not at all.
    """

    start: date
    mean: Floats
    lower: Mapping[float, Floats]
    upper: Mapping[float, Floats]
    model: tuple[str, ...]
    rolled: RollingForecast = field(compare=False, repr=False)
    stretch: Floats = field(compare=False, repr=False)


@dataclass(frozen=True)
class RowForecast:
    """One row by an engine that works row by row: `mean[h]`, `lower` and `upper`: level -> [h]; `learned`: names of
    the planned events whose effect the engine took from the past, and has in its mean."""

    mean: Floats
    lower: Mapping[float, Floats]
    upper: Mapping[float, Floats]
    learned: frozenset[str] = frozenset()


class EngineUnfit(ValueError):
    """An engine cannot be fitted to a series: too short, constant, or no convergence."""


def is_month_end(day: date) -> bool:
    """The last two days of a month and the first of the next: when batch jobs and invoices run."""
    return day.day == 1 or (day + timedelta(days=2)).month != day.month
