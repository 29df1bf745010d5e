"""Small panels with a known story, for the tests of breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray

from alerts.model import FeaturePanel

Floats = NDArray[np.float64]

START = date(2026, 1, 5)  # a Monday
Shape = Callable[[Floats], Floats]


def draw_cost(days: int, *, level: float = 300.0, noise: float = 0.06, weekend: float = 0.6, seed: int = 1) -> Floats:
    rng = np.random.default_rng([seed, 7])
    t = np.arange(days)
    return level * np.where(t % 7 >= 5, weekend, 1.0) * np.exp(0.001 * t + rng.normal(0, noise, days))


def make_panel(costs: Mapping[str, Floats], **telemetry: Mapping[str, Floats]) -> FeaturePanel:
    """Features by name; telemetry by field and feature, unknown where it is not given."""
    names = tuple(costs)
    days = len(next(iter(costs.values())))

    def stack(field: str) -> Floats:
        given = telemetry.get(field, {})
        return np.stack([np.asarray(given.get(name, np.full(days, np.nan)), dtype=np.float64) for name in names])

    cost = np.stack(list(costs.values())).astype(np.float64)
    serving = stack("serving_cost_usd") if "serving_cost_usd" in telemetry else cost
    return FeaturePanel(
        features=names,
        start=START,
        cost_usd=cost,
        serving_cost_usd=serving,
        training_cost_usd=cost - serving,
        calls=stack("calls"),
        retries=stack("retries"),
        failed_calls=stack("failed_calls"),
        tasks=stack("tasks"),
        successful_tasks=stack("successful_tasks"),
        tasks_with_outcome=stack("tasks_with_outcome" if "tasks_with_outcome" in telemetry else "tasks"),
    )


def with_neighbours(cost: Floats, *, name: str = "chat", neighbours: int = 4) -> dict[str, Floats]:
    """The series beside quiet ones, as a team has them."""
    others = {f"quiet_{k}": draw_cost(len(cost), level=500.0, seed=50 + k) for k in range(neighbours)}
    return {name: cost, **others}


def cut(panel: FeaturePanel, days: int) -> FeaturePanel:
    """The panel as it stood on an earlier day."""
    return FeaturePanel(
        panel.features,
        panel.start,
        panel.cost_usd[:, :days],
        panel.serving_cost_usd[:, :days],
        panel.training_cost_usd[:, :days],
        panel.calls[:, :days],
        panel.retries[:, :days],
        panel.failed_calls[:, :days],
        panel.tasks[:, :days],
        panel.successful_tasks[:, :days],
        panel.tasks_with_outcome[:, :days],
    )
