"""Rolling-origin backtest of the engines, and the choice of one per series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.forecast.engines import ENSEMBLE, forecast_panel
from alerts.forecast.panel import Floats, PlannedEvent

WEEK: Final = 7
MIN_HISTORY: Final = 56  # days before a window's origin for its errors to count
COMPARED: Final = ("ensemble", "ets", "theta", "seasonal_naive")


@dataclass(frozen=True)
class BacktestScore:
    """One engine on one series, over `windows` windows.

    `mase`: mean absolute error, and `msis95`: mean interval score of the 95% interval, both relative to the in-sample
    mean absolute week-on-week difference (Hyndman and Koehler 2006; Gneiting and Raftery 2007; M4 competition).
    `coverage80`, `coverage95`: share of days inside the interval, 0 to 1. `fallback_windows`: windows in which the
    engine could not be fitted and the ensemble stood in.
    """

    series: int
    engine: str
    horizon: int
    windows: int
    mase: float
    msis95: float
    coverage80: float
    coverage95: float
    fallback_windows: int


@dataclass(frozen=True)
class EngineSummary:
    """One engine over all series it was scored on; `relative_mase` is the geometric mean of its MASE relative to the
    seasonal naive's, where that was run (else NaN)."""

    engine: str
    series: int
    mase: float
    relative_mase: float
    msis95: float
    coverage80: float
    coverage95: float


def backtest(
    y: Floats,
    *,
    start: date,
    horizon: int = 14,
    engines: Sequence[str] = COMPARED,
    windows: int = 6,
    events: Sequence[PlannedEvent] | None = None,
) -> list[BacktestScore]:
    """Score every engine on every row of y[n, T], from `windows` origins, `horizon` days apart, the last one
    `horizon` days before the end. A window counts for a row that knows `MIN_HISTORY` days before it and a day in it;
    rows without any such window have no score. `start` is the date of column 0.

    An event is taken as known from its own start on: what was planned when is not recorded.
    """
    y = np.asarray(y, dtype=np.float64)
    n, days = y.shape
    sums = {engine: np.zeros((n, 6)) for engine in engines}
    for window in range(windows):
        cut = days - horizon * (window + 1)
        if cut < MIN_HISTORY:
            break
        history, actual = y[:, :cut], y[:, cut : cut + horizon]
        known = np.isfinite(actual)
        scale = _week_on_week(history)
        rows = np.flatnonzero((np.isfinite(history).sum(axis=1) >= MIN_HISTORY) & known.any(axis=1) & (scale > 0))
        if rows.size == 0:
            continue
        history, actual, known, scale = history[rows], actual[rows], known[rows], scale[rows]
        for engine in engines:
            forecast = forecast_panel(history, start=start, horizon=horizon, engine=engine, events=_of(events, rows))
            count = known.sum(axis=1)
            mean = np.where(known, np.abs(actual - forecast.mean), 0.0).sum(axis=1) / count / scale
            low, high = forecast.lower[0.95], forecast.upper[0.95]
            score = high - low + 40.0 * (np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0))
            msis = np.where(known, score, 0.0).sum(axis=1) / count / scale
            inside80 = known & (actual >= forecast.lower[0.8]) & (actual <= forecast.upper[0.8])
            inside95 = known & (actual >= low) & (actual <= high)
            fallback = np.array([model != engine and model == ENSEMBLE for model in forecast.model])
            sums[engine][rows] += np.stack(
                [np.ones(len(rows)), mean, msis, inside80.sum(axis=1) / count, inside95.sum(axis=1) / count, fallback],
                axis=1,
            )
    return [
        BacktestScore(
            series=row,
            engine=engine,
            horizon=horizon,
            windows=int(total[0]),
            mase=float(total[1] / total[0]),
            msis95=float(total[2] / total[0]),
            coverage80=float(total[3] / total[0]),
            coverage95=float(total[4] / total[0]),
            fallback_windows=int(total[5]),
        )
        for engine in engines
        for row, total in enumerate(sums[engine])
        if total[0] > 0
    ]


def choose(scores: Sequence[BacktestScore], *, series: int, margin: float = 0.1, min_windows: int = 4) -> list[str]:
    """The engine for each of `series` rows: the ensemble, unless another has a lower MASE by more than `margin` over
    `min_windows` windows or more, an interval score that is not worse, and was always fitted. A handful of windows
    says little: without the margin the choice would follow noise and change weekly."""
    by_row: dict[int, dict[str, BacktestScore]] = {}
    for score in scores:
        by_row.setdefault(score.series, {})[score.engine] = score
    chosen: list[str] = []
    for row in range(series):
        found = by_row.get(row, {})
        home = found.get(ENSEMBLE)
        best = home
        for score in found.values():
            if home is None or best is None or score.windows < min_windows or score.fallback_windows:
                continue
            if score.mase < (1 - margin) * home.mase and score.mase < best.mase and score.msis95 <= home.msis95:
                best = score
        chosen.append(best.engine if best is not None else ENSEMBLE)
    return chosen


def summarise(scores: Sequence[BacktestScore]) -> list[EngineSummary]:
    """Engines over all series, the best MASE first."""
    naive = {score.series: score.mase for score in scores if score.engine == "seasonal_naive" and score.mase > 0}
    summaries: list[EngineSummary] = []
    for engine in dict.fromkeys(score.engine for score in scores):
        own = [score for score in scores if score.engine == engine]
        ratios = [np.log(max(score.mase, 1e-12) / naive[score.series]) for score in own if score.series in naive]
        summaries.append(
            EngineSummary(
                engine=engine,
                series=len(own),
                mase=float(np.mean([score.mase for score in own])),
                relative_mase=float(np.exp(np.mean(ratios))) if ratios else float("nan"),
                msis95=float(np.mean([score.msis95 for score in own])),
                coverage80=float(np.mean([score.coverage80 for score in own])),
                coverage95=float(np.mean([score.coverage95 for score in own])),
            )
        )
    return sorted(summaries, key=lambda summary: summary.mase)


def _week_on_week(history: Floats) -> Floats:
    difference = np.abs(history[:, WEEK:] - history[:, :-WEEK])
    known = np.isfinite(difference)
    scale: Floats = np.where(known, difference, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return scale


def _of(events: Sequence[PlannedEvent] | None, rows: NDArray[np.int64]) -> list[PlannedEvent]:
    """The events with their rows renumbered to the picked ones."""
    position = {int(row): k for k, row in enumerate(rows)}
    renumbered: list[PlannedEvent] = []
    for event in events or ():
        if event.series is None:
            renumbered.append(event)
        elif kept := tuple(position[row] for row in event.series if row in position):
            renumbered.append(replace(event, series=kept))
    return renumbered
