"""Why a cost changed: from the marts through `alerts.drivers` to marts.cost_drivers and `explain`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from alerts.drivers import DRIVER_LABELS, add_up_by_label, find_label
from alerts.model import Break, Label, Part
from flows.comparison import compare, days_before, days_of, drivers_between, find_parts
from flows.steps.additions import told_without

if TYPE_CHECKING:
    import duckdb

MOST_OF_IT = Decimal("0.6")


def add_parts_to_each(con: duckdb.DuckDBPyConnection, breaks: Iterable[Break], notes: list[str]) -> list[Break]:
    """The breaks with their parts. One whose parts cannot be worked out is told without them: the error is logged, and
    `notes` gets its feature."""
    explained: list[Break] = []
    for found in breaks:
        with told_without(found.node, "why the cost changed", notes):
            found = add_parts(con, found)
        explained.append(found)
    return explained


def add_parts(con: duckdb.DuckDBPyConnection, found: Break) -> Break:
    """The break with the exact parts of its change, as `trendbreak explain` gives them: of its own days against the 28
    before its onset, weekends against weekends; of a unit cost, where successes are known, of the cost of a success.

    A label that nothing else told is that of the parts, where one label carries most of the change; but what no call
    caused may be training as well as idle machines, which the detector knows by themselves. Estimates and nodes without
    telemetry stay as they are.
    """
    if found.basis == "estimated":
        return found
    after = days_of(found)
    compared = compare(con, found.node, days_before(after), after)
    if compared.unknown_day is not None:
        return found
    of_success = found.kind == "unit_cost" and compared.has_success_cost
    parts = find_parts(con, compared, of_success=of_success)
    if not parts:
        return found
    label, change_usd = find_label(parts), sum((usd for _, usd in parts), Decimal(0))
    carries_most = change_usd != 0 and add_up_by_label(parts)[label] / change_usd >= MOST_OF_IT
    is_told = found.label == "unknown" and label != "idle" and carries_most
    return replace(
        found,
        parts=tuple(Part(driver, usd) for driver, usd in parts),
        has_parts_of_success=of_success,
        estimated_percent=compared.unit_after.estimated_share * 100
        if of_success and compared.unit_after
        else Decimal(0),
        label=cast("Label", label) if is_told else found.label,
    )


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
