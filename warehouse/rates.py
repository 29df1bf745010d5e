"""Dated exchange rates: US dollars per unit of a currency, and the dollar twins of what is loaded already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

import duckdb
import pyarrow as pa

from warehouse.errors import CurrencyError
from warehouse.statements import render
from warehouse.store import Warehouse

REPORTING_CURRENCY = "USD"
Rates = Sequence[tuple[str, date, Decimal]]  # currency, valid_from, US dollars per unit


def rates_by_day(
    days: Iterable[tuple[str, date]], rates: Rates
) -> tuple[list[tuple[str, date, Decimal]], tuple[str, date] | None]:
    """((currency, day, US dollars per unit) of each day, the first day without a rate or None).

    The newest rate on or before the day counts.
    """
    dated = sorted((currency.upper(), valid_from, usd) for currency, valid_from, usd in rates)
    found = []
    for currency, day in sorted(days):
        if currency == REPORTING_CURRENCY:
            found.append((currency, day, Decimal(1)))
            continue
        usd = next((usd for code, since, usd in reversed(dated) if code == currency and since <= day), None)
        if usd is None:
            return found, (currency, day)
        found.append((currency, day, usd))
    return found, None


def rates_table(rows: Sequence[tuple[str, date, Decimal]]) -> pa.Table:
    """Columns currency, charge_date, usd_per_unit."""
    return pa.table(
        {
            "currency": pa.array([row[0] for row in rows], pa.string()),
            "charge_date": pa.array([row[1] for row in rows], pa.date32()),
            "usd_per_unit": pa.array([row[2] for row in rows], pa.decimal128(38, 12)),
        }
    )


def apply_rates(wh: Warehouse, rates: Rates) -> list[str]:
    """Bring the dollar twins of loaded charges to today's rates, in one transaction. Returns notes.

    Raises CurrencyError where a loaded charge's day has no rate (any more): a total in dollars would be stale.
    """
    con = wh.con
    days = con.execute(render("rates/days.sql"), [REPORTING_CURRENCY]).fetchall()
    if not days:
        return []
    rows, missing = rates_by_day(days, rates)
    if missing is not None:
        currency, day = missing
        raise CurrencyError(
            f"charges of {day} are loaded in {currency}, which has no rate for that day",
            cure=f"give a dated rate for {currency} in trendbreak.yml, under currency_rates",
        )
    con.register("_rates", rates_table(rows))
    try:
        return _update(wh, con)
    finally:
        con.unregister("_rates")


def _update(wh: Warehouse, con: duckdb.DuckDBPyConnection) -> list[str]:
    changed = con.execute(render("rates/changed.sql", reporting=REPORTING_CURRENCY)).fetchall()
    if not changed:
        return []
    wh.commit(lambda: con.execute(render("rates/update.sql", reporting=REPORTING_CURRENCY)))
    return [
        f"currency_rates: {rows} charges in {currency} are {after.normalize():f} USD now, {before.normalize():f} before"
        for currency, rows, before, after in changed
    ]
