"""The weekly backtest: which engine forecasts which feature, judged on the team's own published history.

It reads the published snapshot (a run may be writing meanwhile), rolls every engine over the last windows of every
series, keeps the scores in `ops.backtests`, and marks the engine that the daily run is to use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.errors import FlowError
from flows.run import Home
from flows.settings import Settings

if TYPE_CHECKING:
    from alerts.forecast import BacktestScore
    from alerts.model import FeaturePanel
    from flows.settings.planned_events import EventsFile
    from warehouse.state import StateStore

HORIZON_DAYS = 14
WINDOWS = 6
CANDIDATES = ("ensemble", "ets", "uc", "seasonal_naive")  # what may be chosen
SHOWN = ("ensemble", "ets", "uc", "theta", "seasonal_naive")
MOST_SERIES = 200  # statsmodels needs about a second for each; smaller features keep the ensemble
VALID_DAYS = 45  # an older choice says nothing of today's series
HISTORY_DAYS = 400


@dataclass(frozen=True)
class Backtest:
    """Scores of one backtest: `scores` by feature, the total as `total`; `chosen`: feature → engine."""

    run_at: datetime
    features: tuple[str, ...]
    scores: dict[str, list[BacktestScore]]
    total: list[BacktestScore]
    chosen: dict[str, str]


def read_engines(state: StateStore, features: Sequence[str], *, now: datetime) -> list[str]:
    """The engine per feature that the newest backtest chose, of the last 45 days; else the ensemble."""
    run_at = state.newest_backtest(until=now)
    if run_at is None or run_at < now - timedelta(days=VALID_DAYS):
        return ["ensemble"] * len(features)
    chosen = {
        row["feature"]: row["model"] for row in state.list_backtests(run_at=run_at) if row["details"]["is_chosen"]
    }
    return [chosen.get(feature, "ensemble") for feature in features]


def read_published_panel(settings: Settings) -> FeaturePanel:
    """The settled series of the published snapshot. Raises FlowError when there is none."""
    from alerts.model import FeaturePanel
    from warehouse.reads import open_snapshot
    from warehouse.series import read_feature_panel, read_settled

    with open_snapshot(Home(settings.home).published) as con:
        through = max((row["settled_through"] for row in read_settled(con)), default=None)
        panel = FeaturePanel(**read_feature_panel(con, through=through, days=HISTORY_DAYS)) if through else None
    if panel is None or not panel.features:
        raise FlowError("no feature has a settled cost yet — `trendbreak run` brings one in")
    return panel


def run_backtest(panel: FeaturePanel, events: EventsFile, *, now: datetime) -> Backtest:
    """Every engine on every series (the 200 largest), and on their total."""
    from alerts.forecast import backtest, choose
    from flows.settings.planned_events import list_planned_events

    size = np.nansum(np.abs(panel.cost_usd), axis=1)
    rows = [int(row) for row in np.argsort(-size, kind="stable")[:MOST_SERIES] if size[row] > 0]
    names = tuple(panel.features[row] for row in rows)
    cost = panel.cost_usd[rows]
    last = panel.start + timedelta(days=cost.shape[1] + HORIZON_DAYS)
    planned = list_planned_events(events, names, first=panel.start, last=last)
    scores = backtest(cost, start=panel.start, horizon=HORIZON_DAYS, engines=SHOWN, windows=WINDOWS, events=planned)
    choice = choose([score for score in scores if score.engine in CANDIDATES], series=len(names))
    total = np.where(np.isfinite(cost).any(axis=0), np.nansum(cost, axis=0), np.nan)
    is_partial = (np.maximum.accumulate(np.isfinite(cost), axis=1) & ~np.isfinite(cost)).any(axis=0)
    total_scores = backtest(
        np.where(is_partial, np.nan, total)[None, :], start=panel.start, horizon=HORIZON_DAYS, engines=SHOWN,
        windows=WINDOWS,
    )  # fmt: skip
    by_feature: dict[str, list[BacktestScore]] = {name: [] for name in names}
    for score in scores:
        by_feature[names[score.series]].append(score)
    chosen = dict(zip(names, choice, strict=True))
    by_feature = {name: found for name, found in by_feature.items() if found}
    return Backtest(now, names, by_feature, total_scores, chosen)


def list_rows(found: Backtest) -> list[dict[str, Any]]:
    """The rows of ops.backtests."""
    from alerts.breaks import ALL_FEATURES

    rows = []
    for feature, scores in (*found.scores.items(), (ALL_FEATURES, found.total)):
        for score in scores:
            details = {
                name: value for name, value in asdict(score).items() if name not in ("series", "engine", "horizon")
            }
            rows.append(
                {
                    "run_at": found.run_at,
                    "feature": feature,
                    "model": score.engine,
                    "horizon_days": score.horizon,
                    "details": {**details, "is_chosen": found.chosen.get(feature) == score.engine},
                }
            )
    return rows


def backtest_and_keep(settings: Settings, *, now: datetime) -> Backtest:
    """Run it on what is published, and store scores and choices for the daily runs to come."""
    from flows.commands.incidents import open_state
    from flows.settings.planned_events import load_events
    from warehouse.features import load_features

    panel = read_published_panel(settings)
    events = load_events(settings.events, load_features(settings.features).features)
    found = run_backtest(panel, events, now=now)
    open_state(settings).save_backtests(list_rows(found))
    return found


def show_backtest(settings: Settings, console: Console, *, now: datetime) -> None:
    """Run, keep, and print the errors of every engine, relative to the seasonal naive forecast's scale."""
    found = backtest_and_keep(settings, now=now)
    if not found.scores:
        console.print(
            Text(f"no feature has the {56 + HORIZON_DAYS} settled days that one window needs; nothing is chosen yet")
        )
        return
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="mean absolute scaled error, 14 days ahead", title_justify="left"
    )
    for column in ("feature", "windows", *SHOWN, "used"):
        table.add_column(column, justify="left" if column in ("feature", "used") else "right")
    for feature, scores in found.scores.items():
        table.add_row(*_cells(feature, scores, found.chosen[feature]))
    table.add_section()
    table.add_row(*_cells("total (bottom-up series)", found.total, ""))
    console.print(table)
    console.print(_summary(found))
    used = sorted(set(found.chosen.values()))
    console.print(Text(f"kept in ops.backtests; the daily run uses: {', '.join(used)}"))


def _cells(feature: str, scores: Sequence[BacktestScore], used: str) -> list[Text]:
    by_engine = {score.engine: score for score in scores}
    best = min((score.mase for score in scores), default=0.0)
    cells = [Text(feature), Text(str(max((score.windows for score in scores), default=0)))]
    for engine in SHOWN:
        score = by_engine.get(engine)
        style = "bold" if score is not None and score.mase == best else ""
        cells.append(Text("–" if score is None else f"{score.mase:.3f}", style=style))
    return [*cells, Text(used)]


def _summary(found: Backtest) -> Table:
    from alerts.forecast import summarise

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("engine", "MASE", "vs seasonal naive", "MSIS 95%", "inside 80%", "inside 95%"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    # Features are renumbered: a score knows its row only.
    for row in summarise([score for scores in found.scores.values() for score in scores]):
        table.add_row(
            row.engine,
            f"{row.mase:.3f}",
            f"{row.relative_mase:.3f}",
            f"{row.msis95:.2f}",
            f"{100 * row.coverage80:.0f}%",
            f"{100 * row.coverage95:.0f}%",
        )
    return table


def show_injected(settings: Settings, console: Console, *, false_alerts_per_month: Decimal | None = None) -> None:
    """Put breaks into the published history and print what the present settings find, how late, and what they tell."""
    from alerts.breaks import DetectionSettings
    from alerts.injected import DAYS_AFTER, count_told, inject_breaks

    panel = read_published_panel(settings)
    budget = false_alerts_per_month or settings.alerts.false_alerts_per_month
    detection = DetectionSettings(
        min_usd_per_day=settings.alerts.min_usd_per_day,
        min_percent=settings.alerts.min_percent,
        false_alerts_per_month=budget,
    )
    scores, features = inject_breaks(panel, detection)
    tried = sum(score.tried for score in scores)
    if not tried:
        console.print(Text("no feature has the eleven weeks of settled history that an injected break needs"))
        return
    console.print(
        Text(
            f"breaks put into the history of {features} feature{'s' if features != 1 else ''}, told within "
            f"{DAYS_AFTER} days at {budget} false alerts a month, from ${detection.min_usd_per_day} a day and "
            f"{detection.min_percent}%:"
        ),
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("break", "tried", "found", "recall", "delay in days"):
        table.add_column(column, justify="left" if column == "break" else "right")
    for score in scores:
        delay = "–" if np.isnan(score.delay_days) else f"{score.delay_days:.1f}"
        table.add_row(score.kind, str(score.tried), str(score.found), f"{100 * score.recall:.0f}%", delay)
    found = sum(score.found for score in scores)
    table.add_row("all", str(tried), str(found), f"{100 * found / tried:.0f}%", "")
    console.print(table)
    told, days = count_told(panel, detection)
    per_month = len(told) / days * 30 if days else 0.0
    console.print(
        Text(
            f"the history as it is: {len(told)} alert{'s' if len(told) != 1 else ''} in {days} days "
            f"({per_month:.1f} a month); false ones are among these"
        ),
        soft_wrap=True,
    )
    for one in told[-10:]:
        way = "up" if one.direction > 0 else "down"
        console.print(Text(f"  {one.alarm}  {one.node}, {way} since {one.onset}"))
