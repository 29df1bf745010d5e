"""The whole table of what forecasts and detection must reach, beside the others, in one run.

    python -m benchmarks.table                                          invented series, seed 1
    python -m benchmarks.table --panel series.npz                       and real ones of 791 days or more
    python -m benchmarks.table --statsforecast .bench-venv/bin/python   with AutoETS, as `make bench` does

Ratios and rates are of this run; milliseconds are processor time, but for ETS, AutoETS and the rules (the clock).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np

from benchmarks import cold_path
from benchmarks.detection import scores
from benchmarks.forecast import panels, run

HORIZON = 14


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", type=Path, help=".npz of daily series; without it the real rows are left out")
    parser.add_argument("--statsforecast", metavar="PYTHON", help="interpreter that has benchmarks/requirements.txt")
    parser.add_argument("--half", choices=["development", "report", "all"], default="development")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clean", type=int, default=120, help="clean invented series for the detectors")
    parser.add_argument("--events", type=int, default=20, help="series per kind of event")
    parser.add_argument("--engines", nargs="*", default=["ensemble", "ets", "uc", "theta", "seasonal_naive"])
    arguments = parser.parse_args()

    series = panels.real(arguments.panel) if arguments.panel else panels.invented(arguments.seed, 80)
    windows = panels.cut(series, seed=arguments.seed, horizon=HORIZON, half=arguments.half)
    engines = run.compare(windows, arguments.engines, HORIZON, arguments.statsforecast)
    print(f"forecasts: {len(windows)} windows, {HORIZON} days ahead, seed {arguments.seed}, half: {arguments.half}")
    run.print_engines(engines)

    trials = {"invented": scores.invent(arguments.seed, arguments.clean, arguments.events)}
    if arguments.panel:
        trials["real"] = scores.take_real(arguments.panel, arguments.half, arguments.seed, arguments.events)
    found = {}
    for name, trial in trials.items():
        detectors = {**scores.RULES, "ETS interval": scores.ets_interval} if name == "invented" else scores.RULES
        found[name] = {rule: scores.measure(detector, [trial]) for rule, detector in detectors.items()}
        print(f"\ndetection, {name} series, limits at one false alert per series-year:")
        scores.print_detectors(found[name])

    ours, ets, auto = engines["ensemble"], engines.get("ets", {}), engines.get("autoets", {})
    _, forecast_ms = run.measure_speed(HORIZON)
    _, replay_ms = scores.measure_speed()
    partial = scores.measure_partial_day([trials["invented"]], scores.ours)
    wall, processor = cold_path.measure(50, 400, 3)
    synthetic, real = found["invented"], found.get("real", {})
    rows = [
        ("OWA to ETS", "<= .94", "<= .90", ours["owa_ratio"], 1.0, auto.get("owa_ratio")),
        ("MSIS95 to ETS", "<= 1.0", "<= .93", ours["msis_ratio"], 1.0, auto.get("msis_ratio")),
        ("coverage at 80%", "77-84", "79-82", *(e.get("coverage0.8") for e in (ours, ets, auto))),
        ("coverage at 95%", "93-97", "94-96", *(e.get("coverage0.95") for e in (ours, ets, auto))),
        ("forecast, ms per series", "<= 1", "<= .3", min(forecast_ms), ets.get("ms"), auto.get("ms")),
    ]
    print("\n| measure | must | reach | here | statsmodels ETS | AutoETS |")
    print("|---|---|---|---|---|---|")
    for name, must, reach, *figures in rows:
        print(f"| {name} | {must} | {reach} | " + " | ".join(_write(figure) for figure in figures) + " |")
    rules = ("ours", "25% rule", "30-day z", "weekday CUSUM", "series_decompose", "ETS interval")
    print("\n| measure | must | reach | here | " + " | ".join(rules[1:]) + " |")
    print("|---|---|---|" + "---|" * len(rules))
    for name, must, reach, table, key in (
        ("recall, invented", ">= .75", ">= .82", synthetic, "macro"),
        ("recall, real", ">= .50", ">= .60", real, "macro"),
        ("upward recall, real", ">= .57", ">= .65", real, "upward"),
        ("false alerts a series-year at its own limit", ".7-1.3", ".9-1.1", synthetic, "alerts/yr at 1"),
    ):
        figures = (table.get(rule, {}).get(key) for rule in rules)
        print(f"| {name} | {must} | {reach} | " + " | ".join(_write(figure) for figure in figures) + " |")
    print("\n| measure | must | reach | here |")
    print("|---|---|---|---|")
    print(f"| alerts from an incomplete last day | <= 1% | 0 | {partial:.1%} |")
    print(f"| replay of 400 days, ms per series | <= .1 | <= .04 | {replay_ms:.3f} |")
    print(
        f"| 50 features, cold process, seconds | <= 4 | <= 2 | {np.median(wall):.2f} (CPU {np.median(processor):.2f}) |"
    )


def _write(figure: float | None) -> str:
    return "-" if figure is None or math.isnan(figure) else f"{figure:.3g}"


if __name__ == "__main__":
    main()
