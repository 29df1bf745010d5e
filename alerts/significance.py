"""Which scored days are alarms, when many series are watched and only few false ones may be posted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alerts.detect import OFF, POINT, PanelScores
from alerts.model import Floats

Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

# How often a false alert begins, per series and day, at a limit of this score: log10, measured on generated
# series (`python -m benchmarks.detection.scores --tail`, seeds 1 to 4). Straight between, and beyond the last.
_TAIL_SCORE = np.array([0.0, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0])
_LEVEL_LOG10 = np.array([0.0, -2.33, -2.89, -3.52, -4.12, -4.88, -5.40, -5.80])
_LEVEL_SLOPE = -2.5
_DAY_LOG10 = np.array([0.0, -2.47, -2.81, -3.10, -3.35, -3.55, -3.74, -3.88])
_DAY_SLOPE = -0.45
# Runs of off days are rare in the generator (no series of it pauses); from real series with outages instead.
_OFF_LOG10 = np.array([0.0, -2.60, -3.10, -3.55, -4.00, -4.35, -4.70, -5.00])
_OFF_SLOPE = -1.5

# A month has thirty days, and this part of the budget is spent on what the tail's measurement does not know:
# series are not the generator's, and the days of one episode are tested one by one.
_SHARE_OF_BUDGET = 0.3 / 30.0
_LEARNING_DELAY = 21  # a break counts as history of its panel only then
_PRIOR_EPISODES = 5.0


def flag_days(
    scores: PanelScores,
    factors: Floats,
    usable: Bools,
    *,
    false_alerts_per_month: float,
    days_back: int,
    explained: Bools | None = None,
) -> Bools:
    """Which of the last `days_back` days of the panel [m, T] are alarms (those before are not).

    Per day, Benjamini-Hochberg across the m series on two tail probabilities of each: of the day's score,
    and of its level score, whose tail is thinner. Both are raised where this panel, all its series pooled,
    has exceeded the plain limit more often than the generator's series do, that of a single day also where it has had
    more very high days. `factors` [m, T]
    (or [m, 1]): on the limits of single series. `usable` [m, T]: days with enough history; others are no alarms.
    `explained` [m, T]: days of breaks that people called expected; they are no sign of an unruly panel.
    The result for a day depends on earlier days only, so that a later run flags it again.
    """
    score = np.where(usable, scores.score / factors, 0.0)
    level = np.where(usable, scores.level_score / factors, 0.0)
    m, days = score.shape
    first = max(0, days - days_back)
    of_day = np.where(
        scores.channel[:, first:] == OFF,
        _tail_probability(score[:, first:], _OFF_LOG10, _OFF_SLOPE),
        _tail_probability(score[:, first:], _DAY_LOG10, _DAY_SLOPE),
    )
    unexplained = score if explained is None else np.where(explained, 0.0, score)
    # Heavy tails show far out only: single days are held to how often this panel has had very high ones.
    far_out = np.where(scores.channel == POINT, unexplained, 0.0) >= _TAIL_SCORE[-1]
    of_day = of_day * _measure_unrest(far_out, unexplained > 0, 10.0 ** float(_DAY_LOG10[-1]))[first:]
    p = 2.0 * np.minimum(of_day, _tail_probability(level[:, first:], _LEVEL_LOG10, _LEVEL_SLOPE))
    # An episode has about three days.
    unrest = _measure_unrest(unexplained >= 1.0, unexplained > 0, 3.0 * 10.0 ** float(_LEVEL_LOG10[2]))
    p = np.minimum(p * unrest[first:], 1.0)
    tested = max(int((score > 0).any(axis=1).sum()), 1)  # not per day: the newest of some has not settled yet
    order = np.sort(p, axis=0)
    passes = order <= _SHARE_OF_BUDGET * false_alerts_per_month * np.arange(1, m + 1)[:, None] / tested
    limit = np.where(passes, order, 0.0).max(axis=0)
    flags = np.zeros((m, days), np.bool_)
    flags[:, first:] = (p <= limit) & (score[:, first:] >= 1.0)
    return flags


def find_episodes(flags: Bools, *, gap_days: int = 7) -> list[Indices]:
    """Runs of flagged days with gaps of at most `gap_days`, oldest first."""
    where = np.flatnonzero(flags)
    if where.size == 0:
        return []
    return np.split(where, np.flatnonzero(np.diff(where) > gap_days) + 1)


def _measure_unrest(is_over: Bools, is_scored: Bools, expected_share: float) -> Floats:
    """[T] how many times as many of the scored days as expected were over a limit, three weeks before and earlier."""
    days = is_over.shape[1]
    seen, due = (
        np.concatenate([np.zeros(_LEARNING_DELAY), np.cumsum(counts)])[:days]
        for counts in (is_over.sum(axis=0), is_scored.sum(axis=0) * expected_share)
    )
    return np.maximum(1.0, (seen + _PRIOR_EPISODES) / (due + _PRIOR_EPISODES))


def _tail_probability(score: Floats, log10: Floats, slope: float) -> Floats:
    inside = np.interp(score, _TAIL_SCORE, log10)
    return np.asarray(10.0 ** (inside + np.maximum(score - _TAIL_SCORE[-1], 0.0) * slope))
