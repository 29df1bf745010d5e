"""Two periods of one feature side by side: its days and dollars, what a success cost, and why both changed.

What a message says of an incident and what `trendbreak explain` says of it come from here: the same days are compared
with the same days before, in the same unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

from alerts.drivers import Drivers, ModelTraffic, Outcomes, Period, explain_change
from alerts.model import UNSEEN

if TYPE_CHECKING:
    import duckdb

    from alerts.model import Break
    from warehouse.driver_periods import Days as HalfOpenDays

BASELINE_DAYS = 28
EVERY_WEEKDAY = tuple(range(7))
WEEKEND = (5, 6)
_PLACES = Decimal(1).scaleb(-12)
_ROUNDING = Decimal("1e-6")


@dataclass(frozen=True)
class Days:
    """Days from `first` to `last`, both included; with `weekdays` (0 is Monday) only these."""

    first: date
    last: date
    weekdays: tuple[int, ...] = EVERY_WEEKDAY

    @property
    def count(self) -> int:
        return sum(self.holds(self.first + timedelta(days=n)) for n in range(self.span))

    @property
    def span(self) -> int:
        """Days from the first to the last, whatever their weekday."""
        return (self.last - self.first).days + 1

    def holds(self, day: date) -> bool:
        return self.first <= day <= self.last and day.weekday() in self.weekdays

    def on(self, weekdays: tuple[int, ...]) -> Days:
        return Days(self.first, self.last, weekdays)


@dataclass(frozen=True)
class UnitCost:
    """What a success cost in one period, US dollars. `success_share`: of the tasks with an outcome, 0 to 1."""

    unit: str
    cost_per_success_usd: Decimal
    success_share: Decimal
    known_share: Decimal  # of the tasks, 0 to 1: those with an outcome
    estimated_share: Decimal = Decimal(0)  # of the dollars, 0 to 1: those of calls without a bill


@dataclass(frozen=True)
class Comparison:
    """`days_before` and `days_after`: a row for each day that has a cost, as `warehouse.reads.read_explained_cost`
    gives it. US dollars, effective cost before promotional credits."""

    feature: str
    before: Days
    after: Days
    days_before: Sequence[Mapping[str, Any]]
    days_after: Sequence[Mapping[str, Any]]
    unit_before: UnitCost | None
    unit_after: UnitCost | None

    @property
    def unknown_day(self) -> date | None:
        """The first day whose cost is not known in US dollars."""
        days = (*self.days_before, *self.days_after)
        return min((row["charge_date"] for row in days if row["cost_usd"] is None), default=None)

    @property
    def before_usd_per_day(self) -> Decimal:
        return _per_day(self.days_before)

    @property
    def after_usd_per_day(self) -> Decimal:
        return _per_day(self.days_after)

    @property
    def has_success_cost(self) -> bool:
        """Whether the cost of a success is known in both periods, and was anything."""
        before, after = self.unit_before, self.unit_after
        return before is not None and after is not None and before.cost_per_success_usd > 0


def days_of(found: Break) -> Days:
    """The days of a break. Of one that only weekends have they are these: set against weeks, a weekend says nothing."""
    days = Days(found.onset, found.last_day)
    weekend = tuple(day for day in WEEKEND if days.on((day,)).count)
    return days.on(weekend) if found.is_weekend_only and weekend else days


def days_before(days: Days) -> Days:
    """The same weekdays of the 28 days before."""
    return Days(days.first - timedelta(days=BASELINE_DAYS), days.first - timedelta(days=1), days.weekdays)


def as_parameters(before: Days, after: Days) -> dict[str, Any]:
    """The two periods as `warehouse.reads` takes them."""
    weekdays = sum(1 << day for day in after.weekdays)
    periods = {"since": after.first, "until": after.last, "base_since": before.first, "base_until": before.last}
    return {**periods, "weekdays": weekdays}


def compare(con: duckdb.DuckDBPyConnection, feature: str, before: Days, after: Days) -> Comparison:
    """`con` may be the warehouse or the published snapshot."""
    from warehouse.reads import read_explained_cost, read_explained_units

    periods = as_parameters(before, after)
    rows = read_explained_cost(con, feature=feature, **periods)
    units = {row["is_after"]: _unit_cost(row) for row in read_explained_units(con, feature=feature, **periods)}
    return Comparison(
        feature=feature,
        before=before,
        after=after,
        days_before=[row for row in rows if not row["is_after"]],
        days_after=[row for row in rows if row["is_after"]],
        unit_before=units.get(False),
        unit_after=units.get(True),
    )


def find_parts(
    con: duckdb.DuckDBPyConnection, compared: Comparison, *, of_success: bool
) -> tuple[tuple[str, Decimal], ...]:
    """The LMDI parts of the change (of the cost a day; `of_success`: of a success), those that carry most of it first.

    They add up to it. What days without telemetry carry of a day's cost has a line of its own; of the rounding the
    largest part takes what is left. Empty where telemetry does not know the feature in both periods.
    """
    outcomes = None
    change_usd = compared.after_usd_per_day - compared.before_usd_per_day
    if of_success:
        before, after = compared.unit_before, compared.unit_after
        assert before is not None
        assert after is not None
        outcomes = (
            Outcomes(before.known_share, before.success_share),
            Outcomes(after.known_share, after.success_share),
        )
        change_usd = after.cost_per_success_usd - before.cost_per_success_usd
    drivers = drivers_between(
        con,
        compared.feature,
        (compared.before.first, compared.before.last + timedelta(days=1)),
        (compared.after.first, compared.after.last + timedelta(days=1)),
        weekdays=as_parameters(compared.before, compared.after)["weekdays"],
        outcomes=outcomes,
    )
    if drivers is None:
        return ()
    parts = [(driver, usd) for driver, usd in drivers.ranked() if usd]
    rest = change_usd - sum((usd for _, usd in parts), Decimal(0))
    if abs(rest) >= _ROUNDING or not parts:
        return (*parts, (UNSEEN, rest)) if rest else ()
    largest = max(range(len(parts)), key=lambda n: abs(parts[n][1]))
    return tuple((driver, usd + rest if n == largest else usd) for n, (driver, usd) in enumerate(parts))


def drivers_between(
    con: duckdb.DuckDBPyConnection,
    feature: str,
    before: HalfOpenDays,
    after: HalfOpenDays,
    *,
    weekdays: int | None = None,
    outcomes: tuple[Outcomes, Outcomes] | None = None,
) -> Drivers | None:
    """Why `feature` costs more or less a day in `after` than in `before` (first day, day after the last).

    `con` may be the warehouse or the published snapshot. None where telemetry does not know the feature in
    both periods, or a day's cost has no US dollars. `weekdays`: only these count, a bit for each, Monday the lowest.
    `outcomes` of both periods: why a successful task costs more or less, instead of a day.
    """
    from warehouse.driver_periods import read_period
    from warehouse.reads import EVERY_WEEKDAY

    wanted = EVERY_WEEKDAY if weekdays is None else weekdays
    periods = [
        read_period(con, feature, days, weekdays=wanted, of_success=outcomes is not None) for days in (before, after)
    ]
    if periods[0] is None or periods[1] is None:
        return None
    if outcomes is not None and not (periods[0]["tasks"] and periods[1]["tasks"]):
        return None
    return explain_change(_period(periods[0]), _period(periods[1]), outcomes=outcomes)


def _unit_cost(row: Mapping[str, Any]) -> UnitCost | None:
    if row["cost_per_success_usd"] is None or not row["tasks_with_outcome"]:
        return None
    share = Decimal(row["successful_tasks"]) / Decimal(row["tasks_with_outcome"])
    known = Decimal(row["tasks_with_outcome"]) / Decimal(row["tasks"])
    return UnitCost(row["unit"], row["cost_per_success_usd"], share, known, row["estimated_share"] or Decimal(0))


def _per_day(rows: Sequence[Mapping[str, Any]]) -> Decimal:
    total = sum((row["cost_usd"] for row in rows), Decimal(0))
    return (total / max(len(rows), 1)).quantize(_PLACES, ROUND_HALF_EVEN)


def _period(plain: dict[str, Any]) -> Period:
    return Period(
        days=plain["days"],
        tasks=plain["tasks"],
        models=[ModelTraffic(**model) for model in plain["models"]],
        idle_usd=plain["idle_usd"],
        training_usd=plain["training_usd"],
    )
