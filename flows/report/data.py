"""What a report says, as plain data: the page and the terminal's last screen are drawn from it.

Money is Decimal, US dollars. Unknown is None, never 0. Series are oldest first, one value per day.
Series of charts are floats: they become pixels, not sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Severity = Literal["high", "medium", "low"]
Kind = Literal["feature", "unallocated", "shared"]
WatchKind = Literal["budget", "freshness", "coverage"]
WATCHES: Mapping[WatchKind, str] = {  # in the order in which they are shown
    "budget": "Budgets in danger",
    "freshness": "Sources that stopped",
    "coverage": "Coverage that was lost",
}


@dataclass(frozen=True)
class FeatureRow:
    """One feature, the unallocated rest, or one shared pool.

    `cost_usd` is of the last `ReportData.cost_days` settled days, `previous_cost_usd` of as many
    days before them. `cost_per_success_usd` is of the last `unit_days` days whose outcomes have
    settled, `previous_cost_per_success_usd` of the `unit_baseline_days` before them.
    """

    feature: str
    cost_usd: Decimal
    previous_cost_usd: Decimal | None
    daily_cost: tuple[float | None, ...]
    kind: Kind = "feature"
    owner: str = ""
    unit: str = "task"
    cost_per_success_usd: Decimal | None = None
    previous_cost_per_success_usd: Decimal | None = None
    daily_cost_per_success: tuple[float | None, ...] = ()
    success_rate: Decimal | None = None  # 0 to 1, of the same days as cost_per_success_usd
    previous_success_rate: Decimal | None = None
    month_to_date_usd: Decimal | None = None
    forecast_usd: Decimal | None = None  # the whole month: to date and to come
    monthly_budget_usd: Decimal | None = None


@dataclass(frozen=True)
class MonthForecast:
    """The month of all features and the unallocated rest, without shared pools.

    `actual` are the settled days from the 1st on, `expected` the days to come.
    """

    month: date  # its first day
    actual: tuple[float, ...]
    expected: tuple[float, ...]
    month_to_date_usd: Decimal
    total_usd: Decimal
    lower_usd: Decimal
    upper_usd: Decimal
    level: Decimal = Decimal("0.8")
    budget_usd: Decimal | None = None
    over_budget_probability: Decimal | None = None  # 0 to 1
    previous_to_date_usd: Decimal | None = None  # the same days of the month before


@dataclass(frozen=True)
class IncidentChart:
    """Up to 90 days; all series of one length. `onset_index` is the first day of the excess."""

    start: date
    actual: tuple[float | None, ...]
    expected: tuple[float | None, ...]
    lower: tuple[float | None, ...] = ()
    upper: tuple[float | None, ...] = ()
    onset_index: int | None = None
    metric: str = "cost per day"


@dataclass(frozen=True)
class IncidentRow:
    """One open incident. `reason` is a sentence; `drivers` short texts, the largest first."""

    id: str
    node: str
    severity: Severity
    title: str
    reason: str
    onset: date
    status: str = "open"
    label: str = "unknown"  # growth | efficiency | mix | price | idle | unknown
    kind: str = "cost"  # cost | unit_cost | zero_success | usage
    excess_usd_per_day: Decimal | None = None
    excess_percent: Decimal | None = None  # of expected: 42 means 42% more
    excess_usd_total: Decimal | None = None
    weekends_usd_per_day: Decimal | None = None  # of an excess on weekends only: spread over all days of the week
    drivers: tuple[str, ...] = ()
    owner: str = ""
    channel: str = ""
    chart: IncidentChart | None = None


@dataclass(frozen=True)
class WatchRow:
    """One open incident that is no break of a trend. `title` and `summary` are its card's; `cure`: what to do."""

    id: str
    kind: WatchKind
    node: str
    severity: Severity
    title: str
    summary: str
    since: date
    cure: str = ""
    status: str = "open"
    owner: str = ""
    channel: str = ""


def group_watches(rows: Iterable[WatchRow]) -> tuple[tuple[str, tuple[WatchRow, ...]], ...]:
    """(heading, the gravest first) of each kind that there is."""
    order = {"high": 0, "medium": 1, "low": 2}
    ranked = sorted(rows, key=lambda row: (order[row.severity], row.node, row.id))
    groups = ((heading, tuple(row for row in ranked if row.kind == kind)) for kind, heading in WATCHES.items())
    return tuple((heading, own) for heading, own in groups if own)


@dataclass(frozen=True)
class SourceRow:
    """How fresh one source is."""

    name: str
    source_type: str
    data_through: date | None
    settled_through: date | None
    state: Literal["fresh", "late", "failed"] = "fresh"
    note: str = ""


@dataclass(frozen=True)
class Coverage:
    """How much of the AI spend of the last `cost_days` days belongs to a feature; what is not AI stands apart."""

    allocated_usd: Decimal
    unallocated_usd: Decimal
    shared_usd: Decimal
    largest_unallocated: tuple[tuple[str, Decimal], ...] = ()
    unclassified_usd: Decimal | None = None
    not_ai_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class WasteRow:
    """Dollars of one feature that bought nothing, of one kind, over the last `cost_days` days."""

    feature: str
    kind: str  # of marts.waste_daily: loop | failure | retry | uncached_prefix | context | idle_gpu
    waste_usd: Decimal
    calls: int | None = None


@dataclass(frozen=True)
class SuggestedQuery:
    title: str
    command: str


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows."""

    organization: str
    as_of: date
    generated_at: datetime
    data_through: date  # the newest day that is settled for every source
    features: tuple[FeatureRow, ...]
    forecast: MonthForecast | None
    incidents: tuple[IncidentRow, ...]  # breaks of trends
    coverage: Coverage | None
    sources: tuple[SourceRow, ...]
    watches: tuple[WatchRow, ...] = ()  # the other open incidents
    waste: tuple[WasteRow, ...] = ()  # the largest first
    queries: tuple[SuggestedQuery, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # (what, where), for the terminal only
    cost_days: int = 30
    unit_days: int = 7
    unit_baseline_days: int = 28
    is_invented: bool = False  # the demo says so on the page
    notes: tuple[str, ...] = field(default=())

    @property
    def total_cost_usd(self) -> Decimal:
        """AI spend: features and the unallocated rest. Shared pools (tax, support, what is not AI) stand beside it."""
        return sum((row.cost_usd for row in self.features if row.kind != "shared"), Decimal(0))

    @property
    def previous_total_cost_usd(self) -> Decimal | None:
        """The same of the days before; None where one of them is unknown."""
        before = [row.previous_cost_usd for row in self.features if row.kind != "shared"]
        known = [cost_usd for cost_usd in before if cost_usd is not None]
        return sum(known, Decimal(0)) if known and len(known) == len(before) else None

    def by_cost(self) -> tuple[FeatureRow, ...]:
        """Features by cost, then unallocated, then shared pools."""
        order = {"feature": 0, "unallocated": 1, "shared": 2}
        return tuple(sorted(self.features, key=lambda row: (order[row.kind], -row.cost_usd, row.feature)))

    def by_unit_cost(self) -> tuple[FeatureRow, ...]:
        """Features whose cost per successful task is known, the dearest first."""
        known = [row for row in self.features if row.kind == "feature" and row.cost_per_success_usd is not None]
        return tuple(sorted(known, key=lambda row: (-(row.cost_per_success_usd or Decimal(0)), row.feature)))

    def by_severity(self) -> tuple[IncidentRow, ...]:
        order = {"high": 0, "medium": 1, "low": 2}
        return tuple(
            sorted(
                self.incidents, key=lambda row: (order[row.severity], -(row.excess_usd_per_day or Decimal(0)), row.id)
            )
        )
