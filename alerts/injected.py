"""The team's own history with breaks put into it: what the present settings find, how late, and what they tell anyway.

The kinds are those of the project's benchmark. A break is put into one feature at a time, on a day before which
the feature has at least eight weeks, and judged by what daily runs of the 20 days after it would have told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from alerts.breaks import Replayed, replay_breaks
from alerts.expectations import DetectionSettings
from alerts.model import UNALLOCATED, FeaturePanel, Floats

DAYS_AFTER = 20
_LEAST_DAYS_BEFORE = 56
_POSITIONS = (DAYS_AFTER + 1, DAYS_AFTER + 29)  # days before the end on which breaks begin: other weekdays, other weeks

Shape = Callable[[Floats], Floats]  # days since the onset, 0 first → factor on the cost


@dataclass(frozen=True)
class Injection:
    """One kind of break: `factor` of the cost by days since it began."""

    kind: str
    direction: int
    factor: Shape


KINDS: Sequence[Injection] = (
    Injection("one day × 3", 1, lambda t: np.where(t == 0, 3.0, 1.0)),
    Injection("three days × 2", 1, lambda t: np.where(t < 3, 2.0, 1.0)),
    Injection("level +30%", 1, lambda t: np.full(len(t), 1.3)),
    Injection("level +100%", 1, lambda t: np.full(len(t), 2.0)),
    Injection("drift 3% a day", 1, lambda t: 1.03 ** (t + 1)),
    Injection("drift 1% a day", 1, lambda t: 1.01 ** (t + 1)),
    Injection("off", -1, lambda t: np.zeros(len(t))),
)


@dataclass(frozen=True)
class InjectedScore:
    """How breaks of one kind fared. `delay_days`: mean days from the onset to the first telling, NaN when none was."""

    kind: str
    tried: int
    found: int
    delay_days: float

    @property
    def recall(self) -> float:
        return self.found / self.tried if self.tried else float("nan")


def inject_breaks(
    panel: FeaturePanel, settings: DetectionSettings, *, most_features: int = 12
) -> tuple[list[InjectedScore], int]:
    """(scores by kind, features used): breaks put into the dearest features that have the history for it."""
    days = panel.cost_usd.shape[1]
    mean = np.nan_to_num(np.nanmean(np.where(np.isfinite(panel.cost_usd), panel.cost_usd, 0.0), axis=1))
    rows = [int(row) for row in np.argsort(-mean, kind="stable") if panel.features[int(row)] != UNALLOCATED]
    places = [(row, days - back) for row in rows for back in _POSITIONS if _is_usable(panel, row, days - back)]
    used = list(dict.fromkeys(row for row, _ in places))[:most_features]
    places = [(row, onset) for row, onset in places if row in used and not _is_busy(panel, row, onset, settings)]
    scores = []
    for kind in KINDS:
        delays = [_try(panel, row, onset, kind, settings) for row, onset in places]
        hits = [delay for delay in delays if delay is not None]
        scores.append(InjectedScore(kind.kind, len(delays), len(hits), float(np.mean(hits)) if hits else float("nan")))
    return scores, len(used)


def count_told(panel: FeaturePanel, settings: DetectionSettings) -> tuple[list[Replayed], int]:
    """(what the present settings would have told over the history as it is, days looked at): whether each was a false
    alert only the team can say."""
    days = max(panel.cost_usd.shape[1] - _LEAST_DAYS_BEFORE, 0)
    return (replay_breaks(panel, settings, days_back=days) if days else []), days


def _is_usable(panel: FeaturePanel, row: int, onset: int) -> bool:
    before = panel.cost_usd[row, max(0, onset - _LEAST_DAYS_BEFORE) : onset]
    after = panel.cost_usd[row, onset : onset + DAYS_AFTER + 1]
    is_long = onset >= _LEAST_DAYS_BEFORE and bool(np.isfinite(before).all())
    return is_long and bool(np.isfinite(after).sum() >= DAYS_AFTER - 3 and before.mean() > 0)


def _cut(panel: FeaturePanel, days: int, row: int, factor: Floats) -> FeaturePanel:
    """The first `days` days; what the feature of `row` costs, serving and training, is `factor` [T] times as much."""
    factors = np.ones((len(panel.features), days))
    factors[row] = factor[:days]
    return replace(
        panel,
        cost_usd=panel.cost_usd[:, :days] * factors,
        serving_cost_usd=panel.serving_cost_usd[:, :days] * factors,
        training_cost_usd=panel.training_cost_usd[:, :days] * factors,
        calls=panel.calls[:, :days],
        retries=panel.retries[:, :days],
        failed_calls=panel.failed_calls[:, :days],
        tasks=panel.tasks[:, :days],
        successful_tasks=panel.successful_tasks[:, :days],
        tasks_with_outcome=panel.tasks_with_outcome[:, :days],
    )


def _is_busy(panel: FeaturePanel, row: int, onset: int, settings: DetectionSettings) -> bool:
    """Is there a break of its own about there? Then nothing can be said of another."""
    as_it_is = _cut(panel, onset + DAYS_AFTER + 1, row, np.ones(panel.cost_usd.shape[1]))
    told = replay_breaks(as_it_is, settings, days_back=DAYS_AFTER + 21)
    return any(found.node == panel.features[row] for found in told)


def _try(panel: FeaturePanel, row: int, onset: int, kind: Injection, settings: DetectionSettings) -> int | None:
    """Days from the onset until it is told; None when it is not."""
    factor = np.ones(panel.cost_usd.shape[1])
    factor[onset:] = kind.factor(np.arange(len(factor) - onset, dtype=np.float64))
    told = replay_breaks(_cut(panel, onset + DAYS_AFTER + 1, row, factor), settings, days_back=DAYS_AFTER + 1)
    first_day = panel.start + timedelta(days=onset)
    for found in told:
        is_it = found.node == panel.features[row] and found.direction == kind.direction
        if is_it and found.alarm >= first_day:
            return (found.alarm - first_day).days
    return None
