"""Daily series to measure forecasters on, and windows cut from them.

The series are invented; their assumptions stand at each family. A panel of real ones can be given instead, as an
.npz file whose arrays are one series each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAYS = 760
MAX_HISTORY = 365
WINDOWS_PER_SERIES = 4


@dataclass(frozen=True)
class Window:
    """`history[<= 365]`, then `actual[h]`; `scale`: in-sample mean absolute week-on-week difference."""

    series: str
    history: Floats
    actual: Floats
    scale: float


def invented(seed: int, count: int) -> dict[str, Floats]:
    """`count` series of `DAYS` days, two fifths office, and one fifth each consumer, counter and shifting."""
    rng = np.random.default_rng([seed, 20])
    families = [_office, _office, _consumer, _counter, _shifting]
    return {f"{families[k % 5].__name__[1:]}-{k:03d}": families[k % 5](rng) for k in range(count)}


def real(path: Path) -> dict[str, Floats]:
    panel = np.load(path)
    return {name: np.asarray(panel[name], dtype=np.float64) for name in sorted(panel.files)}


def cut(panel: dict[str, Floats], *, seed: int, horizon: int, half: str) -> list[Window]:
    """Windows that do not overlap in what is forecast. `half`: "development" (every second series, the first with it),
    "report" (the others) or "all"."""
    rng = np.random.default_rng([seed, 21])
    windows: list[Window] = []
    for k, (name, values) in enumerate(panel.items()):
        newest = len(values) - horizon
        oldest = max(min(180, newest - 60), len(values) // 3)
        cuts = {newest}
        for candidate in rng.integers(oldest, newest, 50):
            if len(cuts) < WINDOWS_PER_SERIES and all(abs(int(candidate) - other) >= horizon for other in cuts):
                cuts.add(int(candidate))
        if half != "all" and (k % 2 == 0) != (half == "development"):
            continue
        for day in sorted(cuts):
            history = values[max(day - MAX_HISTORY, 0) : day]
            scale = float(np.mean(np.abs(history[7:] - history[:-7])))
            if scale > 0:
                windows.append(Window(f"{name}@{day}", history, values[day : day + horizon], scale))
    return windows


def _office(rng: np.random.Generator) -> Floats:
    """Multiplicative week with quiet weekends, wandering level, autocorrelated heavy-tailed noise, month ends, a
    fortnight of holidays a year at about half the level."""
    days = np.arange(DAYS)
    level = rng.normal(np.log(150), 1.2) + 0.0008 * days + np.cumsum(rng.normal(0, 0.006, DAYS))
    week = np.log(np.array([1, 1, 1, 1, 1, rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.85)]))
    log_value = level + week[days % 7] + rng.uniform(0.04, 0.25) * _noise(rng, 0.35)
    if rng.random() < 0.4:
        log_value += np.where(days % 30 >= 28, np.log(rng.uniform(1.1, 1.6)), 0.0)
    begin = int(rng.integers(0, 365))
    log_value += np.where((days - begin) % 365 < 14, np.log(rng.uniform(0.4, 0.8)), 0.0)
    return np.round(np.exp(log_value), 2)


def _consumer(rng: np.random.Generator) -> Floats:
    """Busier weekends, a slow yearly wave, promotions of three to ten days now and then."""
    days = np.arange(DAYS)
    level = rng.normal(np.log(80), 1.0) + np.cumsum(rng.normal(0, 0.01, DAYS))
    level = level + rng.uniform(0.0, 0.25) * np.sin(2 * np.pi * (days / 365 + rng.random()))
    week = np.log(np.array([1, 1, 1, 1, rng.uniform(1, 1.2), rng.uniform(1.1, 1.5), rng.uniform(1.05, 1.4)]))
    log_value = level + week[days % 7] + rng.uniform(0.05, 0.2) * _noise(rng, 0.4)
    for begin in rng.integers(0, DAYS, 6):
        log_value[begin : begin + int(rng.integers(3, 11))] += np.log(rng.uniform(1.2, 1.8))
    return np.round(np.exp(log_value), 2)


def _counter(rng: np.random.Generator) -> Floats:
    """Additive, noise by weekday, odd days (zero when out of order, double on some), as of a machine or a till."""
    days = np.arange(DAYS)
    week = rng.uniform(0.6, 1.5, 7)
    noise = rng.uniform(0.1, 0.4, 7)
    level = 1.0 + 0.15 * np.sin(2 * np.pi * (days / 365 + rng.random())) + np.cumsum(rng.normal(0, 0.005, DAYS))
    values = level * week[days % 7] + noise[days % 7] * _noise(rng, 0.2)
    odd = rng.random(DAYS)
    values = np.where(odd < 0.008, 0.0, np.where(odd > 0.99, values * 2, values))
    return np.round(np.maximum(values, 0.0) * float(np.exp(rng.normal(3, 1))), 2)


def _shifting(rng: np.random.Generator) -> Floats:
    """Launches: steps of the level and weeks of growth or decline, on top of an office week."""
    values = _office(rng)
    factor = np.ones(DAYS)
    for begin in np.sort(rng.integers(60, DAYS, 5)):
        if rng.random() < 0.5:
            factor[begin:] *= np.exp(rng.choice([-1, 1]) * rng.uniform(0.2, 0.9))
        else:
            length = int(rng.integers(14, 60))
            factor[begin:] *= np.exp(rng.uniform(-0.012, 0.02) * np.minimum(np.arange(DAYS - begin), length))
    return np.round(values * factor, 2)


def _noise(rng: np.random.Generator, memory: float) -> Floats:
    shock = rng.standard_t(5, DAYS) / np.sqrt(5 / 3)
    out = np.empty(DAYS)
    out[0] = shock[0]
    for day in range(1, DAYS):
        out[day] = memory * out[day - 1] + np.sqrt(1 - memory**2) * shock[day]
    return out
