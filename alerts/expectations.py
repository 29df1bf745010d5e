"""What a team wants to hear about, what it has announced, and what it has called expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from alerts.model import Break, Direction, IncidentKind

Metric = Literal["cost", "unit_cost"]
_EXPECTED_CHANGE_DAYS = 3


def name_metric(kind: IncidentKind) -> Metric:
    """The scored series that a break of this kind comes from."""
    return "unit_cost" if kind in ("unit_cost", "zero_success") else "cost"


@dataclass(frozen=True)
class ExpectedChange:
    """A change announced in advance: from `start` to before `end` it may begin, and by `change` (+0.3 is +30%, None:
    nobody can say) it may move the cost.

    It explains a break in its direction that begins within three days of these days and is at most twice as large,
    or 25 points larger; without a `change`, one that at most doubles the cost or halves it.
    """

    start: date
    end: date
    change: float | None = None

    def explains(self, found: Break) -> bool:
        slack = timedelta(days=_EXPECTED_CHANGE_DAYS)
        if not self.start - slack <= found.onset < self.end + slack:
            return False
        percent = float(found.excess_percent)
        if self.change is None:
            return -50.0 <= percent <= 100.0
        announced = 100.0 * self.change
        is_same_way = announced >= 0 if found.direction == "up" else announced < 0
        return is_same_way and abs(percent) <= max(2.0 * abs(announced), abs(announced) + 25.0)


@dataclass(frozen=True)
class AcceptedLevel:
    """A break that somebody called expected: `excess_usd_per_day` (signed) over `expected_usd_per_day` from `onset` on.

    It teaches the series a new level: days at it are no break, and what comes on top is measured from it. It explains
    a recurrence, a later break of the same metric and direction from the same level as before (within half of the
    accepted excess) that is at most a quarter larger.
    """

    onset: date
    direction: Direction
    metric: Metric
    expected_usd_per_day: Decimal
    excess_usd_per_day: Decimal

    def explains(self, found: Break) -> bool:
        if name_metric(found.kind) != self.metric or found.direction != self.direction or found.onset < self.onset:
            return False
        excess = abs(self.excess_usd_per_day)
        is_from_the_same_level = abs(found.expected_usd_per_day - self.expected_usd_per_day) <= excess / 2
        return is_from_the_same_level and abs(found.excess_usd_per_day) <= excess * Decimal("1.25")


@dataclass(frozen=True)
class DetectionSettings:
    """What a team wants to hear about.

    `min_usd_per_day`: smallest excess; half of it is enough once the total reaches three times it.
    `min_percent`: of the expected. `false_alerts_per_month`: posted in error, per team, at most.
    `recent_days`: a break over for longer is not returned. `remember_days`: how far back alarms still make a
    break, for those that go on. `min_history_days`: see the gross rule. `common_cause_*`: from this many
    series, and this many of them over 3 deviations on one day, one parent break stands for all.
    `limit_factors`: (node, metric, direction) → factor (at least 1) on that limit, after false alarms; metric is
    "cost" or "unit_cost". `expected_changes`: node → announced changes, `accepted_levels`: node → what people called
    expected; a break that one of them explains is not returned.
    """

    min_usd_per_day: Decimal = Decimal("20")
    min_percent: Decimal = Decimal("15")
    false_alerts_per_month: Decimal = Decimal("2")
    recent_days: int = 7
    remember_days: int = 42
    min_history_days: int = 28
    chart_days: int = 90
    common_cause_series: int = 20
    common_cause_exceedances: int = 5
    limit_factors: Mapping[tuple[str, str, str], float] = field(default_factory=dict[tuple[str, str, str], float])
    expected_changes: Mapping[str, Sequence[ExpectedChange]] = field(
        default_factory=dict[str, Sequence[ExpectedChange]]
    )
    accepted_levels: Mapping[str, Sequence[AcceptedLevel]] = field(default_factory=dict[str, Sequence[AcceptedLevel]])
