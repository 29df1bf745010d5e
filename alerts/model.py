"""The plain data that the stages of an alert hand to each other.

    FeaturePanel ─ detect ─▶ Break ─ decide (with the ledger of Incidents) ─▶ Action ─ render ─▶ Message

Money in a Break or a Message is Decimal, US dollars, rounded to cents: it is shown to people.
Arrays for statistics are float64, NaN where the figure is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Direction = Literal["up", "down"]
BreakKind = Literal["cost", "unit_cost", "zero_success", "usage"]
IncidentKind = Literal["cost", "unit_cost", "zero_success", "usage", "freshness", "coverage", "budget"]
Label = Literal["growth", "efficiency", "mix", "price", "idle", "unknown"]
Severity = Literal["high", "medium", "low"]
IncidentStatus = Literal["open", "acknowledged", "escalated", "snoozed", "resolved", "absorbed", "withdrawn"]
ActionKind = Literal["open", "update", "escalate", "resolve", "withdraw", "skip"]

LIVE: frozenset[IncidentStatus] = frozenset({"open", "acknowledged", "escalated", "snoozed"})  # not closed
UNALLOCATED = "unallocated"  # the feature name of what no rule takes
CONDITION_KINDS: frozenset[IncidentKind] = frozenset({"freshness", "coverage", "budget"})  # alerts.conditions
UNSEEN = "days that telemetry does not cover"  # among the parts of a change: what no driver can be told of
ALL_FEATURES = "all features"  # node of a break that most features share


@dataclass(frozen=True)
class FeaturePanel:
    """Daily series per feature, oldest first, settled days only. Row i belongs to `features[i]`.

    `cost_usd[n, T]`: effective cost before promotional credits; NaN before the feature's first day, and after the
    last day that its own sources have settled (features may end on different days; NaN is unknown, not zero).
    `training_cost_usd[n, T]`: of it, training, fine-tuning and evaluation.
    `serving_cost_usd[n, T]`: what unit costs divide: it without training, with the estimate of calls that no bill is
    there for; NaN also where such a call has no price.
    `calls`, `retries`, `failed_calls`, `tasks`, `successful_tasks`, `tasks_with_outcome` [n, T]: NaN where there is
    no telemetry; the last two also on days whose outcomes have not settled.
    """

    features: tuple[str, ...]
    start: date
    cost_usd: Floats
    serving_cost_usd: Floats
    training_cost_usd: Floats
    calls: Floats
    retries: Floats
    failed_calls: Floats
    tasks: Floats
    successful_tasks: Floats
    tasks_with_outcome: Floats


@dataclass(frozen=True)
class MemberSeries:
    """One member of one dimension of a feature's cost (provider, model, service, api_key_id,
    sub_account_id, resource_id, sku_meter, …): `cost_usd[T]`, on the panel's days, 0 where absent."""

    feature: str
    dimension: str
    member: str
    cost_usd: Floats


@dataclass(frozen=True)
class Evidence:
    """One metric of a break: what it was, what was expected. `unit` is "usd", "usd_per_task", "tasks", …"""

    metric: str
    unit: str
    actual: Decimal
    expected: Decimal
    lower: Decimal | None = None
    upper: Decimal | None = None


@dataclass(frozen=True)
class Driver:
    """A member that carries part of the excess. `excess_usd_per_day` is signed."""

    dimension: str
    member: str
    excess_usd_per_day: Decimal
    is_new: bool = False  # not seen before the onset
    first_seen: date | None = None
    members: int = 1  # above 1: so many new ones of the dimension together, and `member` names none of them
    replaced: int = 0  # of the dimension, gone since the onset, their cost taken off


@dataclass(frozen=True)
class Part:
    """What a driver of `alerts.drivers` carries of a change; all parts of a break add up to it. US dollars a day, or
    per success where the break says so."""

    driver: str
    change_usd: Decimal


@dataclass(frozen=True)
class ChartSeries:
    """Up to 90 days around the break: `actual` with the expected band; all of one length."""

    start: date
    metric: str
    unit: str
    actual: Floats
    expected: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True)
class Break:
    """One break in one node's trend; several metrics may testify to it, the strongest gives `kind`."""

    node: str
    direction: Direction
    kind: BreakKind
    label: Label
    onset: date  # first day of the excess
    last_day: date  # last day on which it was over its limit
    is_active: bool  # still over on the newest settled day
    data_through: date
    score: float  # >= 1
    actual_usd_per_day: Decimal  # mean from onset to last_day
    expected_usd_per_day: Decimal
    expected_lower_usd_per_day: Decimal
    expected_upper_usd_per_day: Decimal
    excess_usd_per_day: Decimal
    excess_usd_total: Decimal  # since onset
    excess_percent: Decimal  # of expected; for unit_cost: of the expected unit cost
    evidence: tuple[Evidence, ...] = ()
    drivers: tuple[Driver, ...] = ()  # by |excess| descending
    parts: tuple[Part, ...] = ()  # of the change since the four weeks before the onset; empty without telemetry
    has_parts_of_success: bool = False  # they are of the cost of a success, not of a day
    estimated_percent: Decimal = Decimal(0)  # of what a success cost: calls without a bill
    chart: ChartSeries | None = field(default=None, compare=False, repr=False)
    basis: Literal["reported", "estimated"] = "reported"
    is_weekend_only: bool = False  # every day over its limit is a Saturday or a Sunday
    newest_excess_usd_per_day: Decimal | None = None  # mean of its last seven days: the present pace of a drift
    days_in_range: int | None = None  # settled days after last_day that tell something; None: each of them does
    history_days: int = 0  # < 28: only gross rules were used, and the message says so


@dataclass(frozen=True)
class Incident:
    """A row of the ledger. `id` is stable: a hash of (node, direction, episode)."""

    id: str
    node: str
    direction: Direction
    episode: int
    kind: IncidentKind
    label: Label
    severity: Severity
    status: IncidentStatus
    onset: date
    last_day: date
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    excess_usd_per_day: Decimal
    excess_usd_total: Decimal
    excess_percent: Decimal
    channel: str
    owner: str
    details: dict[str, Any] = field(default_factory=dict)  # JSON of the break as last rendered


@dataclass(frozen=True)
class Action:
    """What decide wants done with one incident; `reason` says why, also for a skip."""

    kind: ActionKind
    incident: Incident
    reason: str
    found: Break | None = None


@dataclass(frozen=True)
class Fact:
    label: str
    text: str


@dataclass(frozen=True)
class Section:
    """A titled list of lines."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    """A neutral message: what any sink shows. Plain text everywhere; each sink escapes for itself."""

    idempotency_key: str  # one per (incident, action, content): the same key is never sent twice
    incident_id: str
    action: ActionKind
    severity: Severity
    channel: str
    title: str
    summary: str
    facts: tuple[Fact, ...]
    why: tuple[str, ...]
    footnotes: tuple[str, ...]
    owner: str
    sql: str
    chart: ChartSeries | None = field(default=None, compare=False, repr=False)
    onset: date | None = None
    changes: tuple[str, ...] = ()  # what was new on the onset day
    cure: str = ""  # what the reader can do about it
    status: IncidentStatus = "open"
    last_day: date | None = None  # of a break that is over; None while it lasts
    sections: tuple[Section, ...] = ()  # of a digest
    kind: str = ""  # of its incident: cost, unit_cost, zero_success, freshness, coverage, budget
    node: str = ""  # the feature (or source) it is about
    where: tuple[str, ...] = ()  # the members that carry the excess, where `why` tells of causes
    links: tuple[tuple[str, str], ...] = ()  # (text, https address), from our own templates only
