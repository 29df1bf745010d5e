"""Invented features with known breaks, for measuring what is found and what is posted in error.

Two generators, both seeded:

* `draw_series(n, days, rng)`: single daily cost series of many kinds (office, consumer and flat weeks,
  month ends, holidays, noise of 3% to 40% with heavy tails and correlation, wandering level, growth),
  into which `EVENTS` are injected. The scorer's limits are set on these.
* `draw_company(seed)`: six features over 120 days with telemetry and members, one of each kind of break
  in the last three weeks, one feature clean; and `draw_team(kind, n, days, seed)` without any break.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from alerts.model import UNALLOCATED, FeaturePanel, MemberSeries

Floats = NDArray[np.float64]

# name: (days in which an alert counts, multiplier by days since the event)
EVENTS: dict[str, tuple[int, Callable[[Floats], Floats]]] = {
    "spike x1.5": (1, lambda k: np.where(k == 0, 1.5, 1.0)),
    "spike x3": (1, lambda k: np.where(k == 0, 3.0, 1.0)),
    "level +30%": (14, lambda k: np.where(k >= 0, 1.3, 1.0)),
    "level +60%": (14, lambda k: np.where(k >= 0, 1.6, 1.0)),
    "level +100%": (14, lambda k: np.where(k >= 0, 2.0, 1.0)),
    "level -30%": (14, lambda k: np.where(k >= 0, 0.7, 1.0)),
    "drift 3%/d": (21, lambda k: 1.03 ** np.clip(k + 1, 0, 21)),
    "drift 1%/d": (30, lambda k: 1.01 ** np.clip(k + 1, 0, 30)),
    "drop to 0": (3, lambda k: np.where(k >= 0, 0.0, 1.0)),
    "from nothing": (7, lambda k: np.where(k >= 0, 1.0, 0.0)),
}
_QUIET_DAYS = {(1, 1), (1, 2), (5, 1), (7, 4), (11, 26), (11, 27), (12, 24), (12, 25), (12, 26), (12, 31)}


def draw_series(n: int, days: int, rng: np.random.Generator, *, start: date = date(2024, 3, 4)) -> Floats:
    """[n, days] dollars a day, without events."""
    t = np.arange(days)
    dates = [start + timedelta(days=int(k)) for k in t]
    weekday = np.array([d.weekday() for d in dates])
    quiet = np.array([(d.month, d.day) in _QUIET_DAYS for d in dates])
    edge = np.array([d.day == 1 or (d + timedelta(days=2)).day <= 2 for d in dates])
    log, sigma, rho = np.empty((n, days)), np.empty((n, 1)), rng.uniform(0.1, 0.5, n)
    for i in range(n):
        level = np.exp(rng.normal(np.log(110), 1.3))
        wander = np.cumsum(rng.normal(0, rng.uniform(0.001, 0.007), days))
        log[i] = np.log(level) + rng.normal(0.0008, 0.0012) * t + wander
        kind = rng.choice(3, p=[0.6, 0.25, 0.15])
        week = np.exp(rng.normal(0, 0.03, 7))
        if kind == 0:
            week[5:] *= rng.uniform(0.3, 0.9)
            log[i] += np.where(quiet, np.log(rng.uniform(0.4, 0.85)), 0.0)
        elif kind == 1:
            week[5:] *= rng.uniform(1.05, 1.45)
            log[i] += np.where(quiet, np.log(rng.uniform(1.0, 1.3)), 0.0)
        log[i] += np.log(week)[weekday]
        if rng.random() < 0.4:
            log[i] += np.where(edge, np.log(rng.uniform(1.1, 1.6)), 0.0)
        sigma[i] = rng.uniform(0.03, 0.20) if rng.random() < 0.85 else rng.uniform(0.25, 0.40)
        sigma[i] *= 1.3 if level < 20 else 1.0
    shock = rng.standard_t(5, (n, days)) / np.sqrt(5 / 3)
    noise = shock.copy()
    for k in range(1, days):
        noise[:, k] = rho * noise[:, k - 1] + np.sqrt(1 - rho * rho) * shock[:, k]
    return np.round(np.exp(log + sigma * noise), 2)


@dataclass(frozen=True)
class Planted:
    """A break that was put in. `kinds`: what it may be called."""

    story: str
    node: str
    direction: str
    onset: date
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Company:
    panel: FeaturePanel
    members: list[MemberSeries]
    planted: list[Planted]
    clean: tuple[str, ...]


def _traffic(rng: np.random.Generator, days: int, weekday: NDArray[np.int64]) -> Floats:
    """Tasks per day, with a week, growth and noise."""
    weekend = rng.uniform(0.3, 0.95)
    week = np.exp(rng.normal(0, 0.03, 7))
    week[5:] *= weekend
    tasks = np.exp(rng.normal(np.log(900), 0.8))
    growth = rng.uniform(0.0, 0.004)
    log = np.log(tasks) + growth * np.arange(days) + np.cumsum(rng.normal(0, 0.003, days)) + np.log(week)[weekday]
    return np.asarray(np.round(np.exp(log + rng.normal(0, rng.uniform(0.03, 0.06), days))) + 40)


def draw_company(seed: int, *, days: int = 120, end: date = date(2026, 10, 18)) -> Company:
    """Six features and what is unallocated. `end`, the newest settled day, is best a Sunday or Monday."""
    rng = np.random.default_rng([seed, 61])
    start = end - timedelta(days=days - 1)
    weekday = (start.weekday() + np.arange(days)) % 7
    t = np.arange(days)
    names = ["retry", "drift", "gpu", "unit", "clean_a", "clean_b"]
    n = len(names) + 1
    arrays = {k: np.full((n, days), np.nan) for k in ("cost", "calls", "retries", "failed", "tasks", "good")}
    members: list[MemberSeries] = []
    planted: list[Planted] = []

    def day(index: int) -> date:
        return start + timedelta(days=index)

    for row, name in enumerate(names):
        tasks = _traffic(rng, days, weekday)
        base_cost = np.exp(rng.uniform(np.log(60), np.log(2200)))
        per_task = base_cost / np.median(tasks)
        noise = np.exp(rng.normal(0, rng.uniform(0.02, 0.06), days))
        success = np.clip(rng.uniform(0.85, 0.95) + rng.normal(0, 0.008, days), 0.05, 0.99)
        calls_per_task = rng.uniform(1.2, 3.0)
        retry_share = np.clip(0.03 + rng.normal(0, 0.004, days), 0.005, 0.2)
        unit = np.full(days, per_task) * noise
        cost = tasks * unit
        if name == "retry":
            onset = days - int(rng.integers(4, 7))
            factor = rng.uniform(1.9, 2.3)
            cost[onset:] *= factor
            retry_share[onset:] = 1 - (1 - retry_share[onset:]) / factor
            planted.append(Planted("retry storm", name, "up", day(onset), ("cost", "unit_cost")))
        if name == "drift":
            onset = days - 21
            cost[onset:] *= (1 + rng.uniform(0.02, 0.03)) ** (t[onset:] - onset + 1)
            planted.append(Planted("slow drift", name, "up", day(onset), ("cost", "unit_cost")))
        if name == "gpu":
            quiet = rng.uniform(0.2, 0.5)
            week = np.where(weekday < 5, 1.0, quiet)
            cost = base_cost * week * np.exp(rng.normal(0, 0.03, days))
            saturday = days - 1 - int(np.argmax(weekday[::-1] == 5))
            over = slice(saturday, min(saturday + 2, days))
            cost[over] = base_cost * rng.uniform(1.0, 1.2) * np.exp(rng.normal(0, 0.02, over.stop - over.start))
            planted.append(Planted("idle GPU", name, "up", day(saturday), ("cost", "unit_cost")))
        if name == "unit":
            onset = days - int(rng.integers(9, 12))
            success[onset:] *= rng.uniform(0.58, 0.72)
            planted.append(Planted("success drop", name, "up", day(onset), ("unit_cost",)))
        calls = np.round(tasks * calls_per_task / (1 - retry_share))
        good = rng.binomial(tasks.astype(int), success).astype(float)
        good[days - 1 :] = np.nan  # outcomes of the newest day have not settled
        values = (cost, calls, np.round(calls * retry_share), np.round(calls * 0.01), tasks, good)
        for key, series in zip(arrays, values, strict=True):
            arrays[key][row] = series
        members += _members(name, cost, rng)
    strays = rng.uniform(0, 12) * np.where(weekday < 5, 1.0, 0.4) * np.exp(rng.normal(0, 0.3, days))
    onset = days - int(rng.integers(4, 6))
    new = np.where(t >= onset, rng.uniform(60, 200) * np.exp(rng.normal(0, 0.1, days)), 0.0)
    new[onset] *= rng.uniform(0.4, 1.0)
    arrays["cost"][-1] = strays + new
    planted.append(Planted("untagged key", UNALLOCATED, "up", day(onset), ("cost",)))
    for member, series in (("key_strays", strays), ("key_new", new)):
        members.append(MemberSeries(UNALLOCATED, "api_key_id", member, series))
    told = np.where(np.isfinite(arrays["good"]), arrays["tasks"], np.nan)
    panel = FeaturePanel(
        (*names, UNALLOCATED), start, arrays["cost"], arrays["cost"], np.zeros_like(arrays["cost"]), arrays["calls"],
        arrays["retries"], arrays["failed"], arrays["tasks"], arrays["good"], told,
    )  # fmt: skip
    return Company(panel, members, planted, ("clean_a", "clean_b"))


def _members(name: str, cost: Floats, rng: np.random.Generator) -> list[MemberSeries]:
    if name == "gpu":
        return [
            MemberSeries(name, "provider", "aws", cost),
            MemberSeries(name, "gpu_type", "A10G", 0.9 * cost),
            MemberSeries(name, "service_name", "Amazon Elastic Compute Cloud", cost),
        ]
    share = rng.uniform(0.6, 0.9)
    return [
        MemberSeries(name, "provider", "openai", cost),
        MemberSeries(name, "model", "large", share * cost),
        MemberSeries(name, "model", "small", (1 - share) * cost),
    ]


TEAMS = ("mixed", "weekly", "heavy tails", "zero-inflated", "month end", "growth", "young")


def draw_team(kind: str, n: int, days: int, seed: int, *, start: date = date(2025, 6, 2)) -> FeaturePanel:
    """n features of one kind of noise, with telemetry on the same volumes, and no break.

    `mixed`: as draw_series. `weekly`: quiet weekends at 5% to 40%, noise of 3% to 12%. `heavy tails`: t(2.5) noise of
    10% to 30%. `zero-inflated`: jobs on 25% to 80% of the days, nothing on the others. `month end`: 1.5 to 3 times as
    much on the last two days of a month and its first, a job on one fixed day of the month in half of them. `growth`:
    0.2% to 1% a day. `young`: as draw_series, each begins somewhere in the last 130 days, a tenth of them ramping up
    over ten days.
    """
    rng = np.random.default_rng([seed, 62])
    if kind == "mixed":
        return _with_telemetry(draw_series(n, days, rng, start=start), rng, start)
    dates = [start + timedelta(days=k) for k in range(days)]
    weekday = np.array([d.weekday() for d in dates])
    edge = np.array([d.day == 1 or (d + timedelta(days=2)).day <= 2 for d in dates])
    t = np.arange(days)
    if kind == "young":
        cost = draw_series(n, days, rng, start=start)
        born = rng.integers(days - 130, days - 10, n)
        ramp = np.where(rng.random((n, 1)) < 0.1, np.clip((t - born[:, None] + 1) / 10, 0.1, 1.0), 1.0)
        return _with_telemetry(np.where(t >= born[:, None], cost * ramp, np.nan), rng, start)
    level = np.exp(rng.normal(np.log(110), 1.3, (n, 1)))
    sigma = rng.uniform(0.03, 0.12, (n, 1))
    shock = rng.standard_t(5, (n, days)) / np.sqrt(5 / 3)
    log = np.log(level) + np.cumsum(rng.normal(0, 0.003, (n, days)), axis=1)
    weekend = np.where(weekday >= 5, np.log(rng.uniform(0.4, 0.95, (n, 1))), 0.0)
    if kind == "weekly":
        weekend = np.where(weekday >= 5, np.log(rng.uniform(0.05, 0.4, (n, 1))), 0.0)
    elif kind == "heavy tails":
        shock, sigma = rng.standard_t(2.5, (n, days)) / np.sqrt(5), rng.uniform(0.1, 0.3, (n, 1))
    elif kind == "month end":
        log += np.where(edge, np.log(rng.uniform(1.5, 3.0, (n, 1))), 0.0)
        job = np.where(rng.random(n) < 0.5, rng.integers(5, 26, n), 0)[:, None]
        log += np.where(np.array([d.day for d in dates]) == job, np.log(2.0), 0.0)
    elif kind == "growth":
        log += rng.uniform(0.002, 0.01, (n, 1)) * t
    cost = np.exp(log + weekend + sigma * np.clip(shock, -8, 8))
    if kind == "zero-inflated":
        cost *= rng.random((n, days)) < rng.uniform(0.25, 0.8, (n, 1))
        cost *= np.exp(rng.normal(0, 0.4, (n, days)))
    return _with_telemetry(np.round(cost, 2), rng, start)


def _with_telemetry(cost: Floats, rng: np.random.Generator, start: date) -> FeaturePanel:
    n, days = cost.shape
    usual = np.array([np.median(row[row > 0]) for row in cost])[:, None]
    tasks = np.maximum(np.round(np.nan_to_num(cost) / usual * np.exp(
        rng.normal(np.log(800), 1.0, (n, 1)) + rng.normal(0, rng.uniform(0.02, 0.08, (n, 1)), (n, days))
    )), 0)  # fmt: skip
    success = np.clip(rng.uniform(0.6, 0.97, (n, 1)) + rng.normal(0, 0.01, (n, days)), 0.05, 0.99)
    good = rng.binomial(tasks.astype(int), success).astype(float)
    good[:, -1:] = np.nan
    calls = np.round(tasks * rng.uniform(1, 3, (n, 1)))
    names = tuple(f"feature_{i:03d}" for i in range(n))
    told = np.where(np.isfinite(good), tasks, np.nan)
    retries, failed = np.round(calls * 0.03), np.round(calls * 0.01)
    return FeaturePanel(names, start, cost, cost, np.zeros_like(cost), calls, retries, failed, tasks, good, told)


def cut_panel(panel: FeaturePanel, through: int) -> FeaturePanel:
    """The panel as it stood with `through` days; the newest day's outcomes are not known yet."""
    good = panel.successful_tasks[:, :through].copy()
    good[:, -1:] = np.nan
    return replace(
        panel,
        cost_usd=panel.cost_usd[:, :through],
        serving_cost_usd=panel.serving_cost_usd[:, :through],
        training_cost_usd=panel.training_cost_usd[:, :through],
        calls=panel.calls[:, :through],
        retries=panel.retries[:, :through],
        failed_calls=panel.failed_calls[:, :through],
        tasks=panel.tasks[:, :through],
        successful_tasks=good,
        tasks_with_outcome=np.where(np.isfinite(good), panel.tasks_with_outcome[:, :through], np.nan),
    )
