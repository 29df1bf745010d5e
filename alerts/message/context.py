"""What a message says beside the break itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class BudgetView:
    """A feature's month against its budget, US dollars."""

    monthly_budget_usd: Decimal
    month_end_usd: Decimal | None = None  # forecast of the whole month
    breach_probability: float | None = None  # 0 to 1
    breach_day: date | None = None


@dataclass(frozen=True)
class RenderContext:
    """What a message says beside the break itself. Keys of `budgets` and `units` are features, of `changes` and
    `worst_tasks` incident ids.

    `settled_through`: a break whose data reach beyond it is called provisional (None: settled).
    `units`: what a feature counts ("answer"). `changes`: what else was new on the onset day, one
    sentence each (a release, a prompt version, a price). `worst_tasks`: (what, https address) pairs.
    """

    as_of: date
    budgets: Mapping[str, BudgetView] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    settled_through: date | None = None
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    worst_tasks: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
