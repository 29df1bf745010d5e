"""What features spend by the hour, from telemetry: a weight per hour, scaled to what the bill says of settled days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median

import duckdb
import numpy as np
from numpy.typing import NDArray

from warehouse.statements import render

DAYS = 14
_LEAST_DAYS = 3
_MOST_SPREAD = 0.35  # of the days' ratios to the bill: beyond it telemetry does not tell what a feature costs
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HourlySpend:
    """`spend_usd` [n, H]: dollars per hour, oldest first, ending before `end` (UTC); 0 in an hour without a call.

    `rates` [n]: dollars of the bill per dollar at list price (or per token), the median of the settled days; NaN
    where the bill has none yet and list prices stand for it.
    """

    features: tuple[str, ...]
    end: datetime
    spend_usd: Floats
    rates: Floats


def read_hourly_spend(con: duckdb.DuckDBPyConnection, *, now: datetime) -> HourlySpend | None:
    """The last 14 days up to the newest hour that is over and that telemetry has reached; None without telemetry.

    Left out: a feature whose calls have neither prices nor a bill to learn from, and one whose telemetry does not
    move with its bill.
    """
    rows = con.execute(render("reads/hourly_weights.sql")).fetchall()
    if not rows:
        return None
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    newest = datetime.fromtimestamp(max(second for _, second, _, _ in rows), UTC)
    end = min(this_hour, newest + timedelta(hours=1))
    begin = end.replace(hour=0) - timedelta(days=DAYS - 1)
    hours = round((end - begin).total_seconds() / 3600)
    if hours <= 0:
        return None
    weights: dict[str, Floats] = {}
    priced: dict[str, bool] = {}
    for feature, second, has_prices, weight in rows:
        place = (second - round(begin.timestamp())) // 3600
        if 0 <= place < hours:
            weights.setdefault(feature, np.zeros(hours))[place] = weight or 0.0
            priced[feature] = has_prices
    bills: dict[str, dict[date, float]] = {}
    for feature, day, cost_usd in con.execute(render("reads/hourly_bills.sql")).fetchall():
        bills.setdefault(feature, {})[day] = cost_usd
    features, spend, rates = [], [], []
    for feature, weight in sorted(weights.items()):
        rate = _learn_rate(weight, bills.get(feature, {}), begin.date())
        if rate is None or (np.isnan(rate) and not priced[feature]):
            continue
        features.append(feature)
        rates.append(rate)
        spend.append(weight * (1.0 if np.isnan(rate) else rate))
    stacked = np.stack(spend) if spend else np.zeros((0, hours))
    return HourlySpend(tuple(features), end, stacked, np.array(rates))


def _learn_rate(weight: Floats, bill: dict[date, float], first: date) -> float | None:
    """Median of bill ÷ weight over whole settled days; NaN where there are fewer than three, None where they do not
    agree."""
    ratios = []
    for offset in range(len(weight) // 24):
        spent = float(weight[24 * offset : 24 * offset + 24].sum())
        cost = bill.get(first + timedelta(days=offset))
        if spent > 0 and cost is not None and cost > 0:
            ratios.append(cost / spent)
    if len(ratios) < _LEAST_DAYS:
        return float("nan")
    middle = median(ratios)
    spread = median([abs(ratio - middle) for ratio in ratios])
    return middle if spread <= _MOST_SPREAD * middle else None
