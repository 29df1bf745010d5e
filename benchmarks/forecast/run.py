"""Measure the forecasting engines on rolling windows, all in one run.

    python -m benchmarks.forecast.run                                  invented series, development half
    python -m benchmarks.forecast.run --half report --seed 2           the other half, other windows
    python -m benchmarks.forecast.run --panel series.npz --half all    your own series
    python -m benchmarks.forecast.run --statsforecast …/bin/python     AutoETS beside the rest, by that interpreter

OWA is relative to Naive2 (M4 competition); MASE and MSIS are in units of the in-sample week-on-week difference; ratios
are to statsmodels' damped additive ETS on the same windows. ms per series: wall clock of one call over all windows
(for the engines that go row by row, of a sample of rows), after a warm-up call; see README.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.forecast import forecast_panel
from benchmarks.forecast.panels import Window, cut, invented, real

Floats = NDArray[np.float64]
START = date(2024, 1, 1)
LEVELS = (0.8, 0.95)
ENGINES = ("ets", "ensemble", "uc", "theta", "seasonal_naive")
Result = dict[str, Floats]


def by_engine(engine: str, windows: list[Window], horizon: int) -> tuple[Result, float]:
    """Forecasts of all windows as one panel, aligned at their ends, and ms per series."""
    days = max(len(window.history) for window in windows)
    y = np.full((len(windows), days), np.nan)
    for row, window in enumerate(windows):
        y[row, days - len(window.history) :] = window.history
    forecast_panel(y[:2], start=START, horizon=horizon, engine=engine)
    begin = time.perf_counter()
    forecast = forecast_panel(y, start=START, horizon=horizon, engine=engine)
    spent = 1000 * (time.perf_counter() - begin) / len(windows)
    result = {"mean": forecast.mean}
    for level in LEVELS:
        result[f"lower{level}"], result[f"upper{level}"] = forecast.lower[level], forecast.upper[level]
    return result, spent


def by_statsforecast(python: str, windows: list[Window], horizon: int) -> tuple[Result, float]:
    """AutoETS by another interpreter: what it needs is not what the product needs."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "windows.npz", Path(folder) / "forecasts.npz"
        np.savez(given, *[window.history for window in windows])
        script = Path(__file__).with_name("autoets.py")
        subprocess.run([python, str(script), str(given), str(made), str(horizon)], check=True)
        found = dict(np.load(made))
    return found, float(found.pop("ms_per_series"))


def scores(result: Result, windows: list[Window]) -> dict[str, float]:
    actual = np.stack([window.actual for window in windows])
    scale = np.array([window.scale for window in windows])[:, None]
    mean = result["mean"]
    out = {
        "mase": float(np.mean(np.abs(mean - actual) / scale)),
        "smape": float(200 * np.mean(np.abs(mean - actual) / (np.abs(mean) + np.abs(actual) + 1e-9))),
    }
    for level in LEVELS:
        low, high = result[f"lower{level}"], result[f"upper{level}"]
        miss = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
        out[f"coverage{level}"] = float(100 * np.mean((actual >= low) & (actual <= high)))
        out[f"msis{level}"] = float(np.mean((high - low + 2 / (1 - level) * miss) / scale))
    return out


def naive2(history: Floats, horizon: int) -> Floats:
    """Last value, seasonally adjusted by ratio to the moving average where the autocorrelation at 7 is significant at
    90% (Makridakis, Spiliotis and Assimakopoulos 2020)."""
    n = len(history)
    centred = history - history.mean()
    total = float(np.sum(centred**2))
    acf = [float(np.sum(centred[k:] * centred[: n - k])) / total for k in range(8)] if total > 0 else [0.0] * 8
    limit = 1.645 * np.sqrt((1 + 2 * sum(value**2 for value in acf[1:7])) / n)
    if abs(acf[7]) <= limit or history.min() < 0:
        return np.full(horizon, history[-1])
    ratio = history[3:-3] / np.maximum(np.convolve(history, np.ones(7) / 7, mode="valid"), 1e-9)
    weekday = (np.arange(len(ratio)) + 3) % 7
    index = np.array([ratio[weekday == k].mean() for k in range(7)])
    index = np.maximum(index / index.mean(), 1e-3)
    return np.asarray(history[-1] / index[(n - 1) % 7] * index[(n + np.arange(horizon)) % 7])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", type=Path, help=".npz of 1-D daily series; default: invented ones")
    parser.add_argument("--series", type=int, default=80, help="number of invented series")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--half", choices=["development", "report", "all"], default="development")
    parser.add_argument("--horizon", type=int, default=14)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--statsforecast", metavar="PYTHON", help="interpreter that has requirements.txt installed")
    parser.add_argument("--speed-only", action="store_true", help="only time the ensemble on 1,000 series of 365 days")
    arguments = parser.parse_args()
    if arguments.speed_only:
        print_speed(arguments.horizon)
        return
    panel = real(arguments.panel) if arguments.panel else invented(arguments.seed, arguments.series)
    windows = cut(panel, seed=arguments.seed, horizon=arguments.horizon, half=arguments.half)
    print(f"{len(windows)} windows, {arguments.horizon} days ahead, seed {arguments.seed}, half: {arguments.half}")
    print_engines(compare(windows, arguments.engines, arguments.horizon, arguments.statsforecast))


def compare(
    windows: list[Window], engines: Sequence[str], horizon: int, statsforecast: str | None = None
) -> dict[str, dict[str, float]]:
    """Engine → its scores on the windows, with `owa`, `ms`, and `owa_ratio` and `msis_ratio` to ETS (NaN without it);
    AutoETS beside them where there is an interpreter that has it."""
    runs = {name: by_engine(name, windows, horizon) for name in engines}
    if statsforecast:
        runs["autoets"] = by_statsforecast(statsforecast, windows, horizon)
    simple = np.stack([naive2(window.history, horizon) for window in windows])
    bounds = {f"{side}{level}": simple for side in ("lower", "upper") for level in LEVELS}
    naive = scores({"mean": simple, **bounds}, windows)
    table = {name: {**scores(result, windows), "ms": spent} for name, (result, spent) in runs.items()}
    for row in table.values():
        row["owa"] = 0.5 * (row["mase"] / naive["mase"] + row["smape"] / naive["smape"])
    base = table.get("ets", {"owa": np.nan, "msis0.95": np.nan})
    for row in table.values():
        row["owa_ratio"], row["msis_ratio"] = row["owa"] / base["owa"], row["msis0.95"] / base["msis0.95"]
    return table


def print_engines(table: dict[str, dict[str, float]]) -> None:
    print("| engine | OWA | to ETS | MASE | cov80 | cov95 | MSIS95 | to ETS | ms/series |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, row in sorted(table.items(), key=lambda item: item[1]["owa"]):
        print(
            f"| {name} | {row['owa']:.3f} | {row['owa_ratio']:.3f} | {row['mase']:.3f} | {row['coverage0.8']:.1f} "
            f"| {row['coverage0.95']:.1f} | {row['msis0.95']:.2f} | {row['msis_ratio']:.3f} | {row['ms']:.2f} |"
        )


def measure_speed(horizon: int) -> tuple[list[float], list[float]]:
    """Wall clock and processor time in ms per series, of seven forecasts of 1,000 series of 365 days."""
    panel = invented(1, 100)
    y = np.stack([values[k : k + 365] for k in range(0, 100, 10) for values in panel.values()])
    forecast_panel(y[:2], start=START, horizon=horizon)
    wall, processor = [], []
    for _ in range(7):
        begin, spent = time.perf_counter(), time.process_time()
        forecast_panel(y, start=START, horizon=horizon)
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - spent)
    return wall, processor


def print_speed(horizon: int) -> None:
    wall, processor = measure_speed(horizon)
    print(f"1,000 series of 365 days, {horizon} ahead: best of 7 {min(wall):.3f} ms/series by the clock,")
    print(
        f"{min(processor):.3f} ms/series of processor time; median {np.median(wall):.3f} and {np.median(processor):.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
