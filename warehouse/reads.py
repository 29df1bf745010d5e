"""What the terminal summary and the HTML report show, read from the published snapshot.

Every function takes a connection from `open_snapshot` and returns plain dicts: money as Decimal in US
dollars (effective cost before credits), days as date, unknown as None. `through` is the last day to show,
normally the newest settled one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from warehouse.query import QueryError, of_another_version
from warehouse.statements import render

EVERY_WEEKDAY = 0b1111111  # a bit for each, Monday the lowest


@contextmanager
def open_snapshot(published: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published snapshot, read-only; it stays this one while it is open. Raises QueryError where none is, and
    within the block where the snapshot has not the columns that this version reads."""
    if not published.is_file():
        raise QueryError("nothing is published yet", where=str(published), cure="`trendbreak run` publishes")
    with duckdb.connect(str(published), read_only=True, config={"threads": 2}) as con:
        con.execute("SET TimeZone = 'UTC'")
        try:
            yield con
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise of_another_version(published, str(error)) from error


def read_published_at(con: duckdb.DuckDBPyConnection) -> datetime:
    """When the snapshot was published, UTC."""
    published_at: datetime = _rows(con, "published_at")[0]["published_at"]
    return published_at


def read_features(
    con: duckdb.DuckDBPyConnection,
    *,
    through: date,
    days: int = 30,
    unit_days: int = 7,
    unit_baseline_days: int = 28,
) -> list[dict[str, Any]]:
    """Features, shared pools and the unallocated rest, the dearest first.

    Keys: feature, kind (feature | unallocated | shared), owner, unit, monthly_budget_usd, cost_usd of the
    last `days` days, previous_cost_usd of as many before them, month_to_date_usd; of the feature's last
    `unit_days` days whose outcomes have settled: tasks_with_outcome, successful_tasks,
    cost_per_success_usd, success_rate (0 to 1); and previous_cost_per_success_usd and
    previous_success_rate of the `unit_baseline_days` such days before them.
    """
    return _rows(
        con, "features", through=through, days=days, unit_days=unit_days, unit_baseline_days=unit_baseline_days
    )


def read_daily_costs(con: duckdb.DuckDBPyConnection, *, through: date, days: int = 90) -> list[dict[str, Any]]:
    """One dict per feature, pool and the unallocated rest, by name: feature, cost_usd and cost_per_success_usd, each
    a list of `days` Decimals, oldest first; None before the feature's first day and where unknown."""
    return _rows(con, "daily_costs", through=through, days=days)


def read_coverage(con: duckdb.DuckDBPyConnection, *, through: date, days: int = 30) -> list[dict[str, Any]]:
    """Per source, over the last `days` days: effective_cost_before_credits_usd, tagged_usd, shared_usd,
    not_ai_usd, unallocated_usd, ai_tagged_usd, ai_unallocated_usd."""
    return _rows(con, "coverage", through=through, days=days)


def read_unallocated(
    con: duckdb.DuckDBPyConnection, *, through: date, days: int = 30, limit: int = 10
) -> list[dict[str, Any]]:
    """The largest of what nobody owns: provider, service_name, sub_account_id, api_key_id, model, ai_kind,
    effective_cost_before_credits_usd."""
    return _rows(con, "unallocated", through=through, days=days, limit=limit)


def read_unclassified_usd(con: duckdb.DuckDBPyConnection, *, through: date, days: int = 30) -> Decimal:
    """Dollars of charges that look like AI and fit no known kind."""
    unclassified_usd: Decimal = _rows(con, "unclassified", through=through, days=days)[0]["unclassified_usd"]
    return unclassified_usd


def read_waste(con: duckdb.DuckDBPyConnection, *, through: date, days: int = 30) -> list[dict[str, Any]]:
    """Per feature and kind of waste, the largest first: feature, waste_kind, waste_usd (signed), affected_calls."""
    return _rows(con, "waste", through=through, days=days)


def read_freshness(con: duckdb.DuckDBPyConnection, *, as_of: date | None = None) -> list[dict[str, Any]]:
    """marts.freshness: how far each source has come; `days_late` as on `as_of`, by default the day of the run.
    None where the source is no longer configured."""
    return _list(con.execute(render("reads/freshness.sql", as_of=as_of)))


def read_reported(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """as_of, the day of the run that made the snapshot, and data_through, the day that its report counts to."""
    return _rows(con, "reported")[0]


def read_metrics(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Figures for monitoring: metric, label (a source or a feature) and value, a float for statistics only; days and
    instants are Unix seconds, unknown is None."""
    return _rows(con, "metrics")


def read_loaded_identities(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str]]:
    """(source_name, scope, identity) of every delivery that is loaded and still speaks."""
    return {(row["source_name"], row["scope"], row["identity"]) for row in _rows(con, "loaded_identities")}


def read_telemetry_issues(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """What is wrong in telemetry: source_name, issue, treatment and occurrences, the most frequent first."""
    return _rows(con, "telemetry_issues")


def read_invoices(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """marts.invoice_reconciliation: invoices beside charges, the newest month first."""
    return _rows(con, "invoices")


def read_charge_days(con: duckdb.DuckDBPyConnection, *, as_of: date) -> dict[str, dict[str, int]]:
    """Billing source → charge_days and span_days of its last 120 days before `as_of`: days with a charge, and days from
    the first of them to the last."""
    rows = con.execute(render("reads/source_days.sql"), {"as_of": as_of}).fetchall()
    return {
        str(name): {"charge_days": charge_days, "span_days": span_days}
        for name, _, _, _, charge_days, span_days, _ in rows
    }


def read_coverage_days(con: duckdb.DuckDBPyConnection, *, days: int) -> list[dict[str, Any]]:
    """All sources together, per day of the newest `days` days: charge_date, ai_tagged_usd, ai_unallocated_usd,
    unallocated_by_split_usd."""
    return _list(con.execute(render("reads/coverage_days.sql", days=days)))


def read_explained_cost(
    con: duckdb.DuckDBPyConnection,
    *,
    feature: str,
    since: date,
    until: date,
    base_since: date,
    base_until: date,
    weekdays: int = EVERY_WEEKDAY,
) -> list[dict[str, Any]]:
    """A feature's days (of 'all features': the sum without shared pools) from `since` to `until`, and of the period
    that they are compared with: charge_date, is_after, cost_usd (None where a part of it is unknown), is_settled,
    is_estimated. `weekdays`: only these count, a bit for each, Monday the lowest."""
    periods = {"since": since, "until": until, "base_since": base_since, "base_until": base_until, "weekdays": weekdays}
    return _rows(con, "explained_cost", feature=feature, **periods)


def read_explained_members(
    con: duckdb.DuckDBPyConnection,
    *,
    feature: str,
    since: date,
    until: date,
    base_since: date,
    base_until: date,
    weekdays: int = EVERY_WEEKDAY,
) -> list[dict[str, Any]]:
    """What a feature's cost is made of: dimension, member, before_usd and after_usd (sums of the two periods),
    first_seen; of 'all features' the features."""
    periods = {"since": since, "until": until, "base_since": base_since, "base_until": base_until, "weekdays": weekdays}
    return _rows(con, "explained_members", feature=feature, **periods)


def read_explained_units(
    con: duckdb.DuckDBPyConnection,
    *,
    feature: str,
    since: date,
    until: date,
    base_since: date,
    base_until: date,
    weekdays: int = EVERY_WEEKDAY,
) -> list[dict[str, Any]]:
    """At most a row for each period: is_after, unit, tasks, tasks_with_outcome, successful_tasks, cost_per_success_usd,
    estimated_share (of its dollars, those of calls without a bill; None where refunds leave none)."""
    periods = {"since": since, "until": until, "base_since": base_since, "base_until": base_until, "weekdays": weekdays}
    return _rows(con, "explained_units", feature=feature, **periods)


def read_explained_state(con: duckdb.DuckDBPyConnection, *, feature: str) -> dict[str, Any]:
    """first_day, newest_day, settled_through and waits_for (a source) of a feature; None where nothing is known."""
    return _rows(con, "explained_state", feature=feature)[0]


def read_new_values(
    con: duckdb.DuckDBPyConnection, *, feature: str, since: date, until: date, through: date
) -> list[dict[str, Any]]:
    """kind (release, prompt_version, model), value, first_seen and share (0 to 1 of the feature's calls from then to
    `through`) of what telemetry first names from `since` to `until`. Of the writer's warehouse."""
    return _rows(con, "new_values", feature=feature, since=since, until=until, through=through)


def read_new_prices(
    con: duckdb.DuckDBPyConnection, *, feature: str, onset: date, through: date
) -> list[dict[str, Any]]:
    """model, token_type, pricing_tier, before_usd_per_million, usd_per_million (of tokens) and first_seen of prices
    that changed about `onset`, the largest in dollars first; of the models that the feature pays for since."""
    return _rows(con, "new_prices", feature=feature, onset=onset, through=through)


def read_worst_tasks(
    con: duckdb.DuckDBPyConnection, *, feature: str, since: date, through: date, most: int
) -> list[dict[str, Any]]:
    """task_id, calls, retries, failed_calls, is_loop, is_failure, cost_usd: first those that went wrong, the most
    expensive first. Of the writer's warehouse after a build (temporary view priced_calls)."""
    return _rows(con, "worst_tasks", feature=feature, since=since, through=through, most=most)


def _rows(con: duckdb.DuckDBPyConnection, name: str, **parameters: Any) -> list[dict[str, Any]]:
    return _list(con.execute(render(f"reads/{name}.sql"), parameters))


def _list(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
