"""From the published snapshot and the state store to the report's data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from alerts.conditions import condition_from_json
from alerts.incidents import break_from_json, incident_from_row
from alerts.message import RenderContext, render_card
from alerts.model import ALL_FEATURES, CONDITION_KINDS, LIVE, UNALLOCATED, Break, ChartSeries, Driver, Incident
from flows.report import figures
from flows.report.data import (
    WATCHES,
    Coverage,
    FeatureRow,
    IncidentChart,
    IncidentRow,
    MonthForecast,
    ReportData,
    SourceRow,
    SuggestedQuery,
    WasteRow,
    WatchRow,
)
from flows.run import LATE_DAYS

COST_DAYS = 30
UNIT_DAYS = 7
UNIT_BASELINE_DAYS = 28
SERIES_DAYS = 60
LEAST_WASTE_USD = Decimal(5)  # of a feature and kind in COST_DAYS: less is not worth a line
# Dimension → how it is called, the most telling first.
_DRIVERS = {
    "model": "model",
    "gpu_type": "GPU",
    "sku_meter": "SKU",
    "api_key_id": "API key",
    "token_type": "tokens:",
    "resource_id": "resource",
    "": "",
    "service_name": "service",
    "sub_account_id": "account",
    "provider": "provider",
}
_TELLING = {"model", "gpu_type", "sku_meter", "api_key_id", "token_type"}
SATURDAY = 5  # of date.weekday()
_TITLES = {
    "idle": "machines ran without work",
    "growth": "more work than usual",
    "efficiency": "the same work costs more",
    "mix": "work moved to something dearer",
    "price": "the price went up",
    "unknown": "costs more than its trend",
}


class HasState(Protocol):
    """What the report needs of the state store."""

    def list_incidents(self) -> list[dict[str, Any]]: ...
    def list_forecasts(self, *, as_of: date | None = None) -> list[dict[str, Any]]: ...
    def list_month_ends(self, *, as_of: date | None = None) -> list[dict[str, Any]]: ...


def build_report(
    published: Path,
    state: HasState,
    *,
    organization: str,
    as_of: date,
    generated_at: datetime,
    through: date,
    failures: Mapping[str, str] | None = None,
    charts: Mapping[str, ChartSeries] | None = None,
    queries: Sequence[SuggestedQuery] = (),
    files: Sequence[tuple[str, str]] = (),
    is_invented: bool = False,
) -> ReportData:
    """The report as of a day, settled data up to `through`.

    `failures`: source name → why it is not in. `charts`: node → the detector's own chart, which a
    run has and the ledger does not keep; without it an incident shows its actual cost only. Raises
    warehouse.query.QueryError when nothing is published.
    """
    from warehouse import reads

    with reads.open_snapshot(published) as con:
        rows = reads.read_features(
            con, through=through, days=COST_DAYS, unit_days=UNIT_DAYS, unit_baseline_days=UNIT_BASELINE_DAYS
        )
        daily = {row["feature"]: row for row in reads.read_daily_costs(con, through=through, days=SERIES_DAYS)}
        coverage = reads.read_coverage(con, through=through, days=COST_DAYS)
        unallocated = reads.read_unallocated(con, through=through, days=COST_DAYS, limit=3)
        unclassified_usd = reads.read_unclassified_usd(con, through=through, days=COST_DAYS)
        freshness = reads.read_freshness(con, as_of=as_of)
        waste = reads.read_waste(con, through=through, days=COST_DAYS)
    forecasts = [row for row in state.list_forecasts(as_of=as_of) if row["forecast_date"] > through]
    month = through.replace(day=1)
    ends = [row for row in state.list_month_ends(as_of=as_of) if row["month"] == month]
    total_end = next((row for row in ends if row["feature"] == ALL_FEATURES), None)
    features = tuple(_feature(row, daily.get(row["feature"], {}), forecasts, through) for row in rows)
    incidents = [incident_from_row(row) for row in state.list_incidents()]
    units = {row.feature: row.unit for row in features}
    return ReportData(
        organization=organization,
        as_of=as_of,
        generated_at=generated_at,
        data_through=through,
        features=features,
        forecast=_month(features, daily, forecasts, through, total_end),
        incidents=tuple(
            _incident(incident, units, daily, as_of=as_of, through=through, chart=(charts or {}).get(incident.node))
            for incident in incidents
            if incident.status in LIVE and incident.kind not in CONDITION_KINDS
        ),
        watches=list_watches(incidents),
        coverage=_coverage(coverage, unallocated, unclassified_usd),
        sources=_sources(freshness, failures or {}),
        waste=tuple(
            WasteRow(row["feature"], row["waste_kind"], row["waste_usd"], row["affected_calls"])
            for row in waste
            if row["waste_usd"] >= LEAST_WASTE_USD
        ),
        queries=tuple(queries),
        files=tuple(files),
        cost_days=COST_DAYS,
        unit_days=UNIT_DAYS,
        unit_baseline_days=UNIT_BASELINE_DAYS,
        is_invented=is_invented,
    )


def _feature(
    row: Mapping[str, Any], daily: Mapping[str, Any], forecasts: Iterable[Mapping[str, Any]], through: date
) -> FeatureRow:
    month = through.replace(day=1)
    ahead = [forecast["mean_usd"] for forecast in _of(forecasts, row["feature"], month)]
    is_forecast = bool(ahead) or through == _last_day(month)
    return FeatureRow(
        feature=row["feature"],
        kind=row["kind"],
        owner=row["owner"] or "",
        unit=row["unit"],
        cost_usd=row["cost_usd"],
        previous_cost_usd=row["previous_cost_usd"],
        daily_cost=_floats(daily.get("cost_usd", ())),
        cost_per_success_usd=row["cost_per_success_usd"],
        previous_cost_per_success_usd=row["previous_cost_per_success_usd"],
        daily_cost_per_success=_floats(daily.get("cost_per_success_usd", ())),
        success_rate=row["success_rate"],
        previous_success_rate=row["previous_success_rate"],
        month_to_date_usd=row["month_to_date_usd"],
        forecast_usd=row["month_to_date_usd"] + sum(ahead, Decimal(0)) if is_forecast else None,
        monthly_budget_usd=row["monthly_budget_usd"],
    )


def _of(forecasts: Iterable[Mapping[str, Any]], feature: str, month: date) -> list[Mapping[str, Any]]:
    return [row for row in forecasts if row["feature"] == feature and row["forecast_date"].replace(day=1) == month]


def _last_day(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _floats(series: Iterable[Decimal | None]) -> tuple[float | None, ...]:
    return tuple(None if value is None else float(value) for value in series)


def _month(
    features: Sequence[FeatureRow],
    daily: Mapping[str, Mapping[str, Any]],
    forecasts: Sequence[Mapping[str, Any]],
    through: date,
    total_end: Mapping[str, Any] | None,
) -> MonthForecast | None:
    """The sum over features; `total_end`: the total's own interval and chance to break the budget, as issued."""
    month = through.replace(day=1)
    counted = [row for row in features if row.kind != "shared"]
    ahead_of = {row.feature: _of(forecasts, row.feature, month) for row in counted}
    if not any(ahead_of.values()) or total_end is None:
        return None
    actual = _day_sums([daily.get(row.feature, {}).get("cost_usd", ()) for row in counted])
    expected: dict[date, Decimal] = {}
    for rows in ahead_of.values():
        for row in rows:
            expected[row["forecast_date"]] = expected.get(row["forecast_date"], Decimal(0)) + row["mean_usd"]
    to_date_usd = sum((row.month_to_date_usd or Decimal(0) for row in counted), Decimal(0))
    total_usd = to_date_usd + sum(expected.values(), Decimal(0))
    previous = _same_days_of_last_month(actual, through)
    probability = total_end["breach_probability"]
    return MonthForecast(
        month=month,
        actual=tuple(actual[-through.day :]),
        expected=tuple(float(expected[day]) for day in sorted(expected)),
        month_to_date_usd=to_date_usd,
        total_usd=total_usd,
        lower_usd=total_usd - (total_end["mean_usd"] - total_end["lower_80_usd"]),
        upper_usd=total_usd + (total_end["upper_80_usd"] - total_end["mean_usd"]),
        budget_usd=total_end["monthly_budget_usd"],
        over_budget_probability=None if probability is None else Decimal(repr(round(probability, 2))),
        previous_to_date_usd=None if previous is None else _money(previous),
    )


def _day_sums(series: Sequence[Sequence[Decimal | None]]) -> list[float]:
    """Per day the sum over features, oldest first; a feature before its first day adds nothing."""
    length = max((len(one) for one in series), default=0)
    return [float(sum((one[day] or Decimal(0) for one in series if one), Decimal(0))) for day in range(length)]


def _same_days_of_last_month(days: Sequence[float], through: date) -> float | None:
    last = through.replace(day=1) - timedelta(days=1)
    first_place = len(days) - 1 - (through - last.replace(day=1)).days
    if first_place < 0:
        return None
    return sum(days[first_place : first_place + min(through.day, last.day)])


def _money(figure: float) -> Decimal:
    return Decimal(repr(round(figure, 2)))


def _incident(
    incident: Incident,
    units: Mapping[str, str],
    daily: Mapping[str, Mapping[str, Any]],
    *,
    as_of: date,
    through: date,
    chart: ChartSeries | None,
) -> IncidentRow:
    found = break_from_json(incident.details["break"])
    card = render_card(incident, found, context=RenderContext(as_of=as_of, units=units))
    return IncidentRow(
        id=incident.id,
        node=incident.node,
        severity=incident.severity,
        title=_title(found, units.get(found.node, "task")),
        reason=card.summary,
        onset=found.onset,
        status=incident.status,
        label=found.label,
        kind=found.kind,
        excess_usd_per_day=found.excess_usd_per_day,
        excess_percent=found.excess_percent,
        excess_usd_total=found.excess_usd_total,
        weekends_usd_per_day=_spread_weekends(found),
        drivers=_drivers(found.drivers),
        owner=incident.owner,
        channel=incident.channel,
        chart=_chart(chart, found) if chart is not None else _actual_chart(daily.get(found.node, {}), found, through),
    )


def _spread_weekends(found: Break) -> Decimal | None:
    """What an excess that only weekends have adds to an average day; None for any other."""
    if not found.is_weekend_only:
        return None
    days = (found.onset + timedelta(days=n) for n in range((found.last_day - found.onset).days + 1))
    weekend_days = sum(day.weekday() >= SATURDAY for day in days)
    return (found.excess_usd_total / max(weekend_days, 1) * 2 / 7).quantize(Decimal("0.01"))


def list_watches(incidents: Iterable[Incident]) -> tuple[WatchRow, ...]:
    """The open incidents that are no break of a trend: freshness, coverage, budgets."""
    rows = []
    for incident in incidents:
        if incident.status not in LIVE or incident.kind not in WATCHES:
            continue
        condition = condition_from_json(incident.details["condition"])
        rows.append(
            WatchRow(
                id=incident.id,
                kind=condition.kind,
                node=incident.node,
                severity=incident.severity,
                title=condition.title,
                summary=condition.summary,
                since=incident.onset,
                cure=condition.cure,
                status=incident.status,
                owner=incident.owner,
                channel=incident.channel,
            )
        )
    return tuple(rows)


def _drivers(drivers: Sequence[Driver]) -> tuple[str, ...]:
    """Up to three, the most telling first: a model or a key says more than the account that both are in."""
    ranked = sorted(drivers, key=lambda driver: list(_DRIVERS).index(_dimension(driver)))
    telling = [driver for driver in ranked if _dimension(driver) in _TELLING] or ranked
    return tuple(
        f"{_DRIVERS[_dimension(driver)]} {driver.member}{' (new)' if driver.is_new else ''}".strip()
        for driver in telling[:3]
    )


def _dimension(driver: Driver) -> str:
    return driver.dimension if driver.dimension in _DRIVERS else ""


def _title(found: Break, unit: str) -> str:
    name = figures.title(found.node)
    if found.direction == "down":
        return f"{name}: costs less than its trend"
    if found.node == UNALLOCATED:
        return "Spend that belongs to no feature"
    if found.kind == "zero_success":
        return f"{name}: not one successful {unit}"
    if found.kind == "unit_cost":
        return f"{name}: each successful {unit} costs more"
    return f"{name}: {_TITLES[found.label]}"


def _chart(chart: ChartSeries, found: Break) -> IncidentChart:
    metric = "cost per day" if chart.unit in ("usd", "usd_per_day") else "cost per successful task"
    return IncidentChart(
        start=chart.start,
        actual=_known(chart.actual),
        expected=_known(chart.expected),
        lower=_known(chart.lower),
        upper=_known(chart.upper),
        onset_index=(found.onset - chart.start).days,
        metric=metric,
    )


def _known(series: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in series)


def _actual_chart(daily: Mapping[str, Any], found: Break, through: date) -> IncidentChart | None:
    is_unit = found.kind in ("unit_cost", "zero_success")
    actual = _floats(daily.get("cost_per_success_usd" if is_unit else "cost_usd", ()))
    if not any(value is not None for value in actual):
        return None
    start = through - timedelta(days=len(actual) - 1)
    return IncidentChart(
        start=start,
        actual=actual,
        expected=(None,) * len(actual),
        onset_index=(found.onset - start).days if found.onset >= start else None,
        metric="cost per successful task" if is_unit else "cost per day",
    )


def _coverage(
    rows: Sequence[Mapping[str, Any]], unallocated: Sequence[Mapping[str, Any]], unclassified_usd: Decimal
) -> Coverage | None:
    if not rows:
        return None
    return Coverage(
        allocated_usd=sum((row["tagged_usd"] for row in rows), Decimal(0)),
        unallocated_usd=sum((row["unallocated_usd"] for row in rows), Decimal(0)),
        shared_usd=sum((row["shared_usd"] for row in rows), Decimal(0)),
        not_ai_usd=sum((row["not_ai_usd"] for row in rows), Decimal(0)),
        largest_unallocated=tuple(
            (_what(row), row["effective_cost_before_credits_usd"])
            for row in unallocated
            if row["effective_cost_before_credits_usd"] > 0
        ),
        unclassified_usd=unclassified_usd or None,
    )


def _what(row: Mapping[str, Any]) -> str:
    """The most telling name of a charge that nobody owns: `gpt-5.4, key_abc`."""
    thing = row["model"] or row["service_name"] or row["provider"] or "unknown"
    where = row["api_key_id"] or row["sub_account_id"]
    return f"{thing}, {where}" if where else str(thing)


def _sources(rows: Sequence[Mapping[str, Any]], failures: Mapping[str, str]) -> tuple[SourceRow, ...]:
    sources = [
        SourceRow(
            name=row["source_name"],
            source_type=row["source_type"],
            data_through=row["data_through"],
            settled_through=row["settled_through"],
            state=_state(row, failures),
            note=failures.get(row["source_name"], "") or late_note(row),
        )
        for row in rows
    ]
    known = {source.name for source in sources}
    sources += [
        SourceRow(name, "", None, None, state="failed", note=why) for name, why in failures.items() if name not in known
    ]
    return tuple(sources)


def _state(row: Mapping[str, Any], failures: Mapping[str, str]) -> Any:
    if row["source_name"] in failures:
        return "failed"
    return "late" if is_late(row) else "fresh"


def is_late(row: Mapping[str, Any]) -> bool:
    """Whether a row of `read_freshness` is overdue."""
    return (row["days_late"] or 0) >= LATE_DAYS


def late_note(row: Mapping[str, Any]) -> str:
    """`5 days late`, or nothing."""
    return f"{figures.plural(row['days_late'], 'day')} late" if is_late(row) else ""
