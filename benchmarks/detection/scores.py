"""Measure the scorer on injected events, beside simple rules, in one run.

    python -m benchmarks.detection.scores                                   invented series, seed 1
    python -m benchmarks.detection.scores --seed 2 --seed 3                 other seeds, pooled
    python -m benchmarks.detection.scores --panel series.npz --half report  your own series of 791 days or more
    python -m benchmarks.detection.scores --ets                             with statsmodels' ETS (minutes)
    python -m benchmarks.detection.scores --stl --clean 30 --events 5       with statsmodels' STL (slow: 0.6 s a series)
    python -m benchmarks.detection.scores --tail                            how often a clean series scores what

Each detector's limit is set on clean series of their own, so that alerts (alert days at most 3 apart are
one) begin once per series-year; recall is the share of events with an alert in their window. Of real series
the first 400 days of every second one set the limit, and events go into the last 400 days of the others.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from alerts.detect import CHANNELS, OFF, POINT, score_panel
from benchmarks.detection.simulate import EVENTS, Floats, draw_series

DAYS, FIRST = 400, 120  # scored from FIRST on
START = date(2024, 3, 4)
REAL_START = date(1996, 3, 18)  # only weekdays and month edges are taken from it
Detector = Callable[[Floats, date], Floats]


@dataclass(frozen=True)
class Group:
    """Series with one event each, at column `at`; `window`: days in which an alert counts."""

    name: str
    y: Floats
    at: Floats
    window: int


@dataclass(frozen=True)
class Trial:
    start: date
    clean: Floats
    groups: list[Group]
    event_start: date


def ours(y: Floats, start: date) -> Floats:
    return score_panel(y, start=start).score


def z_score(y: Floats, start: date) -> Floats:
    """Distance from the mean of 30 days in standard deviations, either side; 1 is 3 of them."""
    mean, spread = _last_30(y)
    return np.abs(y - mean) / np.maximum(3 * spread, 1e-9)


def rule_of_25_percent(y: Floats, start: date) -> Floats:
    """A widely copied rule: over 1.25 times the mean of 30 days, two deviations and $10; 1 is all three."""
    mean, spread = _last_30(y)
    return np.minimum.reduce(
        [y / np.maximum(1.25 * mean, 1e-9), (y - mean) / np.maximum(2 * spread, 1e-9), (y - mean) / 10]
    )


def cusum(y: Floats, start: date) -> Floats:
    """One-sided sums of log residuals from the mean of the last eight same weekdays, less half a deviation a day; 1 is
    a sum of 5 (Page 1954)."""
    q = np.log(y + 0.3 * np.median(y[:, :28], axis=1, keepdims=True) + 0.5)
    usual = np.mean([np.roll(q, 7 * k, axis=1) for k in range(1, 9)], axis=0)
    residual = q - usual
    out = np.zeros_like(y)
    up, down = np.zeros(len(y)), np.zeros(len(y))
    for t in range(84, y.shape[1]):
        spread = 1.4826 * np.median(np.abs(residual[:, t - 28 : t]), axis=1)
        z = np.clip(residual[:, t] / np.maximum(spread, 0.02), -4, 4)
        up, down = np.maximum(0, up + z - 0.5), np.maximum(0, down - z - 0.5)
        out[:, t] = np.maximum(up, down) / 5
    return out


def series_decompose(y: Floats, start: date) -> Floats:
    """As Kusto's series_decompose_anomalies with its defaults (the FinOps toolkit's), over the last 84 days:
    a line, weekday means, and a fence of 1.5 times the distance from the 10th to the 90th percentile; 1 is that."""
    days = 84
    weekday = np.arange(days) % 7
    line = np.stack([np.ones(days), np.arange(days)], axis=1)
    season = (weekday[:, None] == np.arange(7)[None, :]).astype(float)
    season /= season.sum(axis=0)
    project = line @ np.linalg.pinv(line)
    out = np.zeros_like(y)
    for t in range(days, y.shape[1] + 1):
        window = y[:, t - days : t]
        rest = window - window @ project.T
        rest -= (rest @ season)[:, weekday]
        low, high = np.quantile(rest, [0.1, 0.9], axis=1)
        newest = rest[:, -1]
        beyond = np.maximum(newest - high, low - newest)
        out[:, t - 1] = np.maximum(beyond, 0.0) / np.maximum(1.5 * (high - low), 1e-9)
    return out


def stl_mad(y: Floats, start: date) -> Floats:
    """Residual of a robust STL(7) of the last 56 days against its own median absolute deviation, anew each day; 1 is
    three of them."""
    from statsmodels.tsa.seasonal import STL

    out = np.zeros_like(y)
    for row, series in enumerate(y):
        for t in range(FIRST, len(series)):
            rest = STL(series[t - 55 : t + 1], period=7, robust=True).fit(inner_iter=1, outer_iter=2).resid
            spread = 1.4826 * np.median(np.abs(rest - np.median(rest)))
            out[row, t] = abs(rest[-1] - np.median(rest)) / max(3 * spread, 1e-9)
    return out


def ets_interval(y: Floats, start: date) -> Floats:
    """One step of statsmodels' damped additive ETS(7), parameters from the first 120 days; 1 is its 95% bound."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    out = np.zeros_like(y)
    for row, series in enumerate(y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            form = {"error": "add", "trend": "add", "damped_trend": True, "seasonal": "add", "seasonal_periods": 7}
            fitted = ETSModel(series[:FIRST], **form).fit(disp=False)
            smoothed = ETSModel(series, **form).smooth(fitted.params)
        residual = series - smoothed.fittedvalues
        out[row] = np.abs(residual) / np.maximum(1.96 * residual[:FIRST].std(), 1e-9)
    return out


RULES: dict[str, Detector] = {
    "ours": ours,
    "25% rule": rule_of_25_percent,
    "30-day z": z_score,
    "weekday CUSUM": cusum,
    "series_decompose": series_decompose,
}


def _last_30(y: Floats) -> tuple[Floats, Floats]:
    windows = np.lib.stride_tricks.sliding_window_view(y, 30, axis=1)[:, :-1]
    mean, spread = np.full(y.shape, 1e12), np.full(y.shape, 1e12)  # nothing alerts before 30 days
    mean[:, 30:], spread[:, 30:] = windows.mean(axis=2), windows.std(axis=2)
    return mean, spread


def invent(seed: int, clean: int, events: int) -> Trial:
    rng = np.random.default_rng([seed, 31])
    quiet = draw_series(clean, DAYS, rng, start=START)
    groups = []
    for name, (window, factor) in EVENTS.items():
        y = draw_series(events, DAYS, rng, start=START)
        groups.append(inject(name, window, factor, y, rng))
    return Trial(START, quiet, groups, START)


def take_real(path: Path, half: str, seed: int, events: int) -> Trial:
    """`half`: of the series, "development" takes numbers 0, 1, 4, 5, …, "report" 2, 3, 6, 7, …"""
    stored = np.load(path)
    rows = [np.asarray(stored[name], dtype=np.float64) for name in sorted(stored.files)]
    kept = [row[:791] for row in rows if len(row) >= 791 and np.isfinite(row[:791]).all()]
    y = np.stack([row for i, row in enumerate(kept) if half == "all" or ((i // 2) % 2 == 0) == (half == "development")])
    rng = np.random.default_rng([seed, 32])
    y = np.round(y / np.median(y, axis=1, keepdims=True) * np.exp(rng.normal(np.log(120), 1.4, (len(y), 1))), 2)
    late = y[1::2, 391:791]
    groups = [
        inject(name, window, factor, late[rng.choice(len(late), events)], rng)
        for name, (window, factor) in EVENTS.items()
    ]
    return Trial(REAL_START, y[::2, :DAYS], groups, REAL_START + timedelta(days=391))


def inject(name: str, window: int, factor: Callable[[Floats], Floats], y: Floats, rng: np.random.Generator) -> Group:
    at = rng.integers(210, 340, len(y))
    since = np.arange(DAYS)[None, :] - at[:, None]
    return Group(name, np.round(y * factor(since.astype(np.float64)), 2), at, window)


def count_rate(alerts: Floats) -> float:
    """Alerts per series-year of a [n, T] mask; alert days at most three apart are one."""
    padded = np.zeros((len(alerts), alerts.shape[1] + 3), np.bool_)
    padded[:, 3:] = alerts
    before = padded[:, :-3] | padded[:, 1:-2] | padded[:, 2:-1]
    return float((alerts & ~before).sum() / (alerts.size / 365.25))


def find_limit(score: Floats, per_year: float = 1.0) -> float:
    low, high = 1e-3, 1e3
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        if count_rate(score > middle) > per_year:
            low = middle
        else:
            high = middle
    return high


def measure(detector: Detector, trials: list[Trial]) -> dict[str, float]:
    recall: dict[str, list[float]] = {}
    delays: list[float] = []
    limits, native = [], []
    for trial in trials:
        quiet = np.nan_to_num(detector(trial.clean, trial.start))[:, FIRST:]
        limit = find_limit(quiet)
        limits.append(limit)
        native.append(count_rate(quiet >= 1.0))
        for group in trial.groups:
            score = np.nan_to_num(detector(group.y, trial.event_start))
            for row, at in enumerate(group.at):
                hits = np.flatnonzero(score[row, at : at + group.window + 1] > limit)
                recall.setdefault(group.name, []).append(float(hits.size > 0))
                delays += [float(hits[0])] if hits.size else []
    out = {name: float(np.mean(values)) for name, values in recall.items()}
    up = [value for name, value in out.items() if name not in ("level -30%", "drop to 0")]
    return {
        "macro": float(np.mean(list(out.values()))),
        "upward": float(np.mean(up)),
        **out,
        "delay": float(np.mean(delays)),
        "limit": float(np.mean(limits)),
        "alerts/yr at 1": float(np.mean(native)),
    }


def print_detectors(table: dict[str, dict[str, float]]) -> None:
    print("|  | " + " | ".join(table) + " |")
    print("|---|" + "---|" * len(table))
    for row in next(iter(table.values())):
        print(f"| {row} | " + " | ".join(f"{column[row]:.2f}" for column in table.values()) + " |")


def measure_partial_day(trials: list[Trial], detector: Detector) -> float:
    """Share of clean series on which cutting the last day to 30% to 80% makes an alert that was not there."""
    hits, total = 0, 0
    rng = np.random.default_rng(5)
    for trial in trials:
        whole = trial.clean[:, :301]
        cut = whole.copy()
        cut[:, -1] *= rng.uniform(0.3, 0.8, len(cut))
        made = (detector(cut, trial.start)[:, -1] >= 1) & (detector(whole, trial.start)[:, -1] < 1)
        hits, total = hits + int(made.sum()), total + len(cut)
    return hits / total


def measure_speed() -> tuple[float, float]:
    """The best of five replays of 400 days of 1,000 series: ms per series by the clock and of processor time."""
    y = draw_series(1000, DAYS, np.random.default_rng(3), start=START)
    wall, processor = [], []
    for _ in range(5):
        began, used = time.perf_counter(), time.process_time()
        score_panel(y, start=START)
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    return min(wall), min(processor)


def print_speed() -> None:
    wall, processor = measure_speed()
    print(f"replay of {DAYS} days, 1,000 series: {wall:.3f} ms per series by the clock, {processor:.3f} of CPU")


def print_tail(seeds: list[int]) -> None:
    """The tables of alerts/significance.py: log10 of how often a series' false alert begins on a day."""
    single, level = [], []
    for seed in seeds:
        y = draw_series(1500, DAYS, np.random.default_rng([seed, 33]), start=START)
        scores = score_panel(y, start=START)
        level.append(scores.level_score[:, FIRST:])
        is_day = (scores.channel == POINT) | (scores.channel == OFF)
        single.append(np.where(is_day, scores.score, 0.0)[:, FIRST:])
    print("channels:", ", ".join(CHANNELS[1:]))
    for name, parts in (("single days", single), ("levels", level)):
        score = np.concatenate(parts)
        rates = {x: count_rate(score >= x) / 365.25 for x in (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 3.0, 4.0)}
        print(f"{name:12s}", "  ".join(f"{x}: {np.log10(rate):.2f}" for x, rate in rates.items() if rate > 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", type=Path, help=".npz of daily series; default: invented ones")
    parser.add_argument("--half", choices=["development", "report", "all"], default="development")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--clean", type=int, default=200, help="clean series per seed")
    parser.add_argument("--events", type=int, default=40, help="series per kind of event and seed")
    parser.add_argument("--ets", action="store_true", help="also statsmodels' ETS")
    parser.add_argument("--stl", action="store_true", help="also statsmodels' STL with MAD")
    parser.add_argument("--tail", action="store_true", help="only the tail of clean series")
    arguments = parser.parse_args()
    seeds: list[int] = arguments.seed or [1]
    if arguments.tail:
        print_tail(seeds)
        return
    if arguments.panel:
        trials = [take_real(arguments.panel, arguments.half, seed, arguments.events) for seed in seeds]
    else:
        trials = [invent(seed, arguments.clean, arguments.events) for seed in seeds]
    detectors = dict(RULES)
    if arguments.ets:
        detectors["ETS interval"] = ets_interval
    if arguments.stl:
        detectors["STL + MAD"] = stl_mad
    table = {name: measure(detector, trials) for name, detector in detectors.items()}
    print_detectors(table)
    print(f"alerts made by an incomplete last day: {measure_partial_day(trials, ours):.2%}")
    print_speed()


if __name__ == "__main__":
    main()
