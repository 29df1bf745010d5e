"""What the decomposition of a cost change needs, read from the marts; and where its result is kept.

Plain data both ways: `alerts.drivers` computes, and the two packages do not know each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from warehouse.features import POOL_PREFIX, UNALLOCATED
from warehouse.reads import EVERY_WEEKDAY
from warehouse.statements import render

if TYPE_CHECKING:
    import duckdb

Days = tuple[date, date]  # first day, and the day after the last


def recent_periods(
    con: duckdb.DuckDBPyConnection, *, days: int = 7, baseline_days: int = 28
) -> dict[str, tuple[Days, Days]]:
    """Feature → (baseline, recent): the last `days` settled days and up to `baseline_days` before them.

    Features with less than a week before, and shared pools and the unallocated rest, are left out.
    """
    found: dict[str, tuple[Days, Days]] = {}
    rows = con.execute(render("drivers/settled_days.sql"), [UNALLOCATED, POOL_PREFIX]).fetchall()
    for feature, first, last in rows:
        end = last + timedelta(days=1)
        begin = end - timedelta(days=days)
        baseline = max(first, begin - timedelta(days=baseline_days))
        if (begin - baseline).days >= 7:
            found[feature] = ((baseline, begin), (begin, end))
    return found


def read_period(
    con: duckdb.DuckDBPyConnection,
    feature: str,
    days: Days,
    *,
    weekdays: int = EVERY_WEEKDAY,
    of_success: bool = False,
) -> dict[str, Any] | None:
    """A feature's traffic and cost over `days`, of the days on which telemetry saw anybody call; `weekdays`: only of
    these; `of_success`: of those of which the cost of a success is known, as `warehouse.reads.read_explained_units` has
    them.

    Keys: `days`, `tasks` (None where telemetry names none), `idle_usd` (dollars that no call caused),
    `training_usd` (of these, training, fine-tuning and evaluation), `models` (dicts of provider, model, calls, retries,
    tokens by kind, weights by kind, cost_usd). Calls without a bill, and tasks that began with one, are in none of
    them; `of_success` they are, by their estimate. None: telemetry knows no calls of the feature that were billed, or a
    day's cost has no US dollars.
    """
    rows = con.execute(
        render("drivers/period.sql"),
        {"feature": feature, "since": days[0], "until": days[1], "weekdays": weekdays, "of_success": of_success},
    ).fetchall()
    names = (
        *("provider", "model", "calls", "retries", "tasks", "cost_usd", "training_usd", "unknown_costs", "is_counted"),
        "seen_days",
    )
    kinds = ("input", "cache_read", "cache_write", "output")
    if not rows or any(row[7] and row[8] for row in rows):
        return None
    found: dict[str, Any] = {"days": rows[0][9], "tasks": 0, "idle_usd": 0, "training_usd": 0, "models": []}
    for row in rows:
        plain = dict(zip(names, row, strict=False))
        if not plain["calls"]:
            found["idle_usd"] += plain["cost_usd"]
            found["training_usd"] += plain["training_usd"]
            continue
        if not plain["is_counted"]:
            continue
        found["tasks"] += plain["tasks"]
        tokens, weights = row[10:14], row[14:18]
        found["models"].append(
            {
                **{name: plain[name] for name in ("provider", "model", "calls", "retries", "cost_usd")},
                "tokens": dict(zip(kinds, tokens, strict=True)),
                "weights": dict(zip(kinds, weights, strict=True)),
            }
        )
    if not found["models"]:
        return None
    found["tasks"] = found["tasks"] or None
    return found


_MONEY = pa.decimal128(38, 12)
DRIVER_ROWS = pa.schema(
    [
        ("feature", pa.string()),
        ("period_start", pa.date32()),
        ("period_end", pa.date32()),
        ("baseline_start", pa.date32()),
        ("driver", pa.string()),
        ("driver_label", pa.string()),
        ("baseline_cost_per_day_usd", _MONEY),
        ("cost_per_day_usd", _MONEY),
        ("change_per_day_usd", _MONEY),
        ("driver_change_per_day_usd", _MONEY),
    ]
)


def write_cost_drivers(con: duckdb.DuckDBPyConnection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace marts.cost_drivers by `rows`, dicts with the keys of DRIVER_ROWS; in the caller's transaction."""
    listed: Sequence[Mapping[str, Any]] = list(rows)
    con.register("_drivers", pa.table({name: [row[name] for row in listed] for name in DRIVER_ROWS.names}, DRIVER_ROWS))
    try:
        con.execute("DELETE FROM marts.cost_drivers")
        con.execute(render("drivers/insert.sql"))
    finally:
        con.unregister("_drivers")
