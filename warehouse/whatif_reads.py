"""What what-ifs and savings read: a team's own traffic, from the marts. Plain data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from warehouse.prices import PriceBook
from warehouse.prices.tables import calls_priced_anew
from warehouse.statements import render

if TYPE_CHECKING:
    import duckdb

TRAFFIC_DAYS = 28


def read_traffic(
    con: duckdb.DuckDBPyConnection, *, feature: str | None = None, days: int = TRAFFIC_DAYS
) -> list[dict[str, Any]]:
    """One dict per feature, provider and model with calls in its last `days` settled days, the dearest first. A feature
    without a bill: by its telemetry's days.

    Keys: `days` up to `last_day` (fewer where it is younger), and beside them the days `left_out` of a self-hosted
    model, whose machines have no bill; calls, retries, tokens by kind; cost_usd (billed, a day whose bill is missing by
    its scaled estimate; 0: no bill at all; null: not all dollars are known), is_billed, estimated_cost_usd (null: not
    all priced), batch_share (the part of it that is a batch), least_week and most_week (cost of a week ÷ average
    week), is_self_hosted.
    """
    return _dicts(con, "whatif/traffic.sql", {"feature": feature, "days": days})


def read_gpu_cost(
    con: duckdb.DuckDBPyConnection, *, feature: str, last_day: date, days: int, left_out: Sequence[date] = ()
) -> Decimal | None:
    """Dollars of a feature's self-hosted inference in the `days` days up to `last_day` but those `left_out`, idle hours
    included; None: it has none, or they are not known."""
    row = con.execute(
        render("whatif/gpu.sql"), {"feature": feature, "last_day": last_day, "days": days, "left_out": list(left_out)}
    ).fetchone()
    return row[0] if row else None


def read_waste(con: duckdb.DuckDBPyConnection, *, days: int = TRAFFIC_DAYS) -> list[dict[str, Any]]:
    """feature, waste_kind, and waste_usd of so many of its last settled days (`days`)."""
    return _dicts(con, "whatif/waste.sql", {"days": days})


def read_work(con: duckdb.DuckDBPyConnection, feature: str, *, since: date, until: date) -> list[dict[str, Any]]:
    """usage_date, cost_usd and units of each settled day of [since, until) with telemetry."""
    return _dicts(con, "whatif/days.sql", {"feature": feature, "since": since, "until": until})


def last_settled_day(con: duckdb.DuckDBPyConnection, feature: str) -> date | None:
    """The feature's newest settled day."""
    row = con.execute(render("whatif/last_day.sql"), [feature]).fetchone()
    return row[0] if row else None


def read_trim(
    con: duckdb.DuckDBPyConnection,
    book: PriceBook,
    *,
    feature: str,
    provider: str | None,
    model: str | None,
    most_input: int,
    most_output: int,
    last_day: date,
    days: int,
    left_out: Sequence[date] = (),
) -> dict[str, Any]:
    """Estimated dollars of the `days` days up to `last_day` but those `left_out`, and of what is beyond the caps. Needs
    the writer's warehouse: only calls know their size."""
    since, until = last_day - timedelta(days=days - 1), last_day + timedelta(days=1)
    with calls_priced_anew(con, book, since=since, until=until):
        (row,) = _dicts(
            con,
            "whatif/trimmed.sql",
            {
                "feature": feature,
                "provider": provider,
                "model": model,
                "most_input": most_input,
                "most_output": most_output,
                "left_out": list(left_out),
            },
        )
    return row


def _dicts(con: duckdb.DuckDBPyConnection, template: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    result = con.execute(render(template), parameters)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
