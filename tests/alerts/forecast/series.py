"""Daily cost series with known properties for the forecast tests; seeded, so a failure can be repeated."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

START = date(2025, 1, 1)  # a Wednesday
OFFICE_WEEK = np.array([1.1, 1.1, 1.1, 1.05, 1.0, 0.5, 0.45])  # Monday first


def office_panel(n: int, days: int, *, seed: int = 1, noise: float = 0.12) -> Floats:
    """n features, [n, days]: an office week, slowly wandering level, noise that remembers a third of yesterday's."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(np.log(120.0), 1.0, (n, 1)) + np.cumsum(rng.normal(0, 0.006, (n, days)), axis=1))
    shock = rng.standard_t(5, (n, days)) * noise
    wobble = np.empty_like(shock)
    wobble[:, 0] = shock[:, 0]
    for day in range(1, days):
        wobble[:, day] = 0.3 * wobble[:, day - 1] + 0.95 * shock[:, day]
    return level * week(days)[None, :] * np.exp(wobble)


def week(days: int) -> Floats:
    """The office week's factor of each day from START on."""
    return OFFICE_WEEK[(np.arange(days) + START.weekday()) % 7]


def week_on_week(history: Floats) -> Floats:
    """In-sample mean absolute week-on-week difference of each row, [n]: the unit of MASE."""
    return np.abs(history[:, 7:] - history[:, :-7]).mean(axis=1)
