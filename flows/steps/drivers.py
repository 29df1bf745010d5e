"""Why a cost changed: from the marts through `alerts.drivers` to marts.cost_drivers and `explain`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from alerts.drivers import DRIVER_LABELS, Drivers, ModelTraffic, Outcomes, Period, explain_change
from alerts.model import Break, Label, Part

if TYPE_CHECKING:
    import duckdb

    from warehouse.driver_periods import Days

BASELINE_DAYS = 28
MOST_OF_IT = Decimal("0.6")


def drivers_between(
    con: duckdb.DuckDBPyConnection,
    feature: str,
    before: Days,
    after: Days,
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
    periods = [read_period(con, feature, days, weekdays=wanted) for days in (before, after)]
    if periods[0] is None or periods[1] is None:
        return None
    if outcomes is not None and not (periods[0]["tasks"] and periods[1]["tasks"]):
        return None
    return explain_change(_period(periods[0]), _period(periods[1]), outcomes=outcomes)


def add_parts(con: duckdb.DuckDBPyConnection, found: Break) -> Break:
    """The break with the exact parts of its change: its own days against the 28 before its onset.

    A label that nothing else told is that of the parts, where one label carries most of the change. Breaks that only
    weekends have, estimates, and nodes without telemetry stay as they are.
    """
    if found.is_weekend_only or found.basis == "estimated":
        return found
    after = (found.onset, found.last_day + timedelta(days=1))
    drivers = drivers_between(con, found.node, (found.onset - timedelta(days=BASELINE_DAYS), found.onset), after)
    if drivers is None or not drivers.change_usd:
        return found
    parts = tuple(Part(driver, usd) for driver, usd in drivers.parts.items())
    carried = drivers.by_label()[drivers.label] / drivers.change_usd
    told = found.label == "unknown" and carried >= MOST_OF_IT
    return replace(found, parts=parts, label=cast("Label", drivers.label) if told else found.label)


def write_drivers(con: duckdb.DuckDBPyConnection) -> None:
    """Make marts.cost_drivers anew, after the models are built; in the caller's transaction."""
    from warehouse.driver_periods import write_cost_drivers

    write_cost_drivers(con, _rows(con))


def _rows(con: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    from warehouse.driver_periods import recent_periods

    for feature, (before, after) in recent_periods(con).items():
        drivers = drivers_between(con, feature, before, after)
        for driver, usd in drivers.parts.items() if drivers else ():
            assert drivers is not None
            yield {
                "feature": feature,
                "period_start": after[0],
                "period_end": after[1],
                "baseline_start": before[0],
                "driver": driver,
                "driver_label": DRIVER_LABELS[driver],
                "baseline_cost_per_day_usd": drivers.before_usd,
                "cost_per_day_usd": drivers.after_usd,
                "change_per_day_usd": drivers.change_usd,
                "driver_change_per_day_usd": usd,
            }


def _period(plain: dict[str, Any]) -> Period:
    return Period(
        days=plain["days"],
        tasks=plain["tasks"],
        models=[ModelTraffic(**model) for model in plain["models"]],
        idle_usd=plain["idle_usd"],
        training_usd=plain["training_usd"],
    )
