"""Why a feature's cost changed between two periods, from the published snapshot: `trendbreak explain`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

from flows.comparison import (
    BASELINE_DAYS,
    EVERY_WEEKDAY,
    Comparison,
    Days,
    UnitCost,
    as_parameters,
    compare,
    days_of,
    find_parts,
)
from flows.errors import FlowError
from flows.run import Home
from flows.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from alerts.model import Incident
    from warehouse.state import StateStore

RECENT_DAYS = 7
MOST_DAYS = 400
MOVERS = 3  # of a dimension
MOST_FEATURES = 10
HISTORY_DAYS = 400
LEAST_HISTORY_DAYS = 28
MOVED_UNIT_PERCENT = Decimal(10)  # a success that moved by so much, where the cost did not, is what is explained
# What a person asks for first; what the bill has beside it follows.
DIMENSIONS = ("feature", "provider", "model", "api_key_id", "resource_id", "service_name", "sku_meter", "token_type")
_PLACES = Decimal(1).scaleb(-12)


@dataclass(frozen=True)
class Mover:
    """One member of one dimension; US dollars a day. `first_seen`: the first day on which it ever cost anything."""

    dimension: str
    member: str
    before_usd_per_day: Decimal
    after_usd_per_day: Decimal
    first_seen: date | None
    is_new: bool

    @property
    def change_usd_per_day(self) -> Decimal:
        return self.after_usd_per_day - self.before_usd_per_day


@dataclass(frozen=True)
class Expectation:
    """What the days were expected to cost, US dollars a day. The range is that of single days. `source`: who says so.
    `days_outside`: None where an incident says so, which keeps no single days."""

    usd_per_day: Decimal
    lower_usd_per_day: Decimal
    upper_usd_per_day: Decimal
    source: str
    days_outside: int | None = None


@dataclass(frozen=True)
class Explanation:
    """US dollars, effective cost before promotional credits. `parts`: (driver, dollars a day); they add up to
    `change_usd_per_day` to the last digit, and are empty where telemetry does not know the feature in both periods.
    With `is_of_success` they are dollars per successful task, and add up to `change_usd_per_success`.
    """

    feature: str
    before: Days
    after: Days
    before_usd_per_day: Decimal
    after_usd_per_day: Decimal
    before_days: int  # of the feature in the period: it may be younger
    after_days: int
    after_usd: Decimal
    unit_before: UnitCost | None
    unit_after: UnitCost | None
    parts: tuple[tuple[str, Decimal], ...]
    movers: tuple[Mover, ...]
    news: tuple[str, ...]
    expected: Expectation | None
    settled_through: date | None
    waits_for: str
    provisional_days: int
    estimated_days: int
    incident_id: str
    has_incident_days: bool  # the days after are those of the incident
    sql: str
    is_of_success: bool = False  # what a success costs has moved, rather than the cost

    @property
    def change_usd_per_success(self) -> Decimal:
        assert self.unit_before is not None
        assert self.unit_after is not None
        return self.unit_after.cost_per_success_usd - self.unit_before.cost_per_success_usd

    @property
    def explained_usd(self) -> Decimal:
        """What the parts add up to."""
        return self.change_usd_per_success if self.is_of_success else self.change_usd_per_day

    @property
    def change_usd_per_day(self) -> Decimal:
        return self.after_usd_per_day - self.before_usd_per_day

    @property
    def change_percent(self) -> Decimal | None:
        """None where there was nothing before."""
        if self.before_usd_per_day <= 0:
            return None
        return self.change_usd_per_day / self.before_usd_per_day * 100


def explain(
    settings: Settings,
    *,
    feature: str | None = None,
    incident_id: str | None = None,
    after: tuple[date | None, date | None] = (None, None),
    before: tuple[date | None, date | None] = (None, None),
) -> Explanation:
    """Of a feature or an incident. `after`: first and last day to explain; default: the days of the incident, or of the
    feature's open one, else the last seven settled ones. `before`: what they are compared with; default: the 28 days
    before them.

    Raises FlowError for an unknown feature or incident, one that is no change of a cost, and days without data; and
    warehouse.query.QueryError where nothing is published.
    """
    from flows.commands.incidents import open_state
    from warehouse.reads import open_snapshot, read_explained_state

    state = open_state(settings)
    incident = None if incident_id is None else _find_incident(state, incident_id)
    name = _choose_feature(feature, incident)
    if incident is None and after == before == (None, None):
        incident = _find_open(state, name)
    with open_snapshot(Home(settings.home).published) as con:
        known = read_explained_state(con, feature=name)
        if known["newest_day"] is None:
            raise FlowError(f"no cost of {name!r} — there are: {', '.join(_list_features(con))}")
        days = _choose_days(name, incident, known, after, before)
        return _explain(con, state, name, incident, known, *days)


def _find_incident(state: StateStore, incident_id: str) -> Incident:
    from alerts.incidents import incident_from_row

    row = next((row for row in state.list_incidents() if row["id"] == incident_id), None)
    if row is None:
        raise FlowError(f"no incident {incident_id!r} — `trendbreak incidents list --all` shows them")
    incident = incident_from_row(row)
    if incident.kind == "freshness":
        raise FlowError(
            f"{incident_id} is about the source {incident.node}, not about a cost — `trendbreak incidents show "
            f"{incident_id}` shows it, `trendbreak check` tests the source"
        )
    return incident


def _find_open(state: StateStore, name: str) -> Incident | None:
    """The gravest open break of a feature."""
    from alerts.incidents import incident_from_row
    from alerts.model import CONDITION_KINDS, LIVE

    incidents = [incident_from_row(row) for row in state.list_incidents() if row["node"] == name]
    live = [one for one in incidents if one.status in LIVE and one.kind not in CONDITION_KINDS]
    return max(live, key=lambda one: (abs(one.excess_usd_per_day), one.id), default=None)


def _choose_feature(feature: str | None, incident: Incident | None) -> str:
    if incident is None:
        if feature is None:
            raise FlowError("name a feature, or an incident with --incident ID")
        return feature
    if feature not in (None, incident.node):
        raise FlowError(f"{incident.id} is about {incident.node}, not about {feature}: name one of them")
    return incident.node


def _list_features(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute("SELECT DISTINCT feature FROM marts.feature_cost_daily ORDER BY feature").fetchall()
    return [str(row[0]) for row in rows]


def _days_of(incident: Incident) -> Days | None:
    """The days that its card tells of; a condition (a budget, coverage) has none of its own."""
    from alerts.incidents import break_from_json
    from alerts.model import CONDITION_KINDS

    if incident.kind in CONDITION_KINDS:
        return None
    if "break" not in incident.details:
        return Days(incident.onset, incident.last_day)
    return days_of(break_from_json(incident.details["break"]))


def _choose_days(
    name: str,
    incident: Incident | None,
    known: Mapping[str, Any],
    after: tuple[date | None, date | None],
    before: tuple[date | None, date | None],
) -> tuple[Days, Days]:
    """(before, after)."""
    settled = known["settled_through"] or known["newest_day"]
    first, last = after
    weekdays = EVERY_WEEKDAY
    if incident is not None and first is None and last is None and (own := _days_of(incident)):
        first, last, weekdays = own.first, own.last, own.weekdays
    last = last or (max(settled, first) if first else settled)
    first = first or last - timedelta(days=RECENT_DAYS - 1)
    base_last = before[1] or (before[0] + timedelta(days=BASELINE_DAYS - 1) if before[0] else first - timedelta(days=1))
    base_last = min(base_last, first - timedelta(days=1)) if before[1] is None else base_last
    base_first = before[0] or base_last - timedelta(days=BASELINE_DAYS - 1)
    for days, what in ((Days(first, last), "the days to explain"), (Days(base_first, base_last), "the days before")):
        if days.span < 1:
            raise FlowError(f"{what} end on {days.last} before they begin on {days.first}")
        if days.span > MOST_DAYS:
            raise FlowError(f"{what} are {days.span:,} — at most {MOST_DAYS} can be compared")
    if base_first <= last and first <= base_last:
        raise FlowError(f"the two periods overlap: {base_first} to {base_last}, and {first} to {last}")
    if first > known["newest_day"] or last < known["first_day"]:
        raise FlowError(
            f"{name} has no cost from {first} to {last}: it has {known['first_day']} to {known['newest_day']}"
        )
    return Days(base_first, base_last, weekdays), Days(first, last, weekdays)


def _explain(
    con: duckdb.DuckDBPyConnection,
    state: StateStore,
    name: str,
    incident: Incident | None,
    known: Mapping[str, Any],
    before: Days,
    after: Days,
) -> Explanation:
    from warehouse.reads import read_explained_members

    compared = compare(con, name, before, after)
    if compared.unknown_day is not None:
        raise FlowError(
            f"what {name} cost on {compared.unknown_day} is not known in US dollars — add the day's rate to "
            f"currency_rates in trendbreak.yml, or choose other days"
        )
    own = compared.days_after
    is_of_success = _is_of_success(incident, compared)
    movers = _find_movers(
        read_explained_members(con, feature=name, **as_parameters(before, after)),
        after,
        days_before=len(compared.days_before),
        days_after=len(own),
    )
    return Explanation(
        feature=name,
        before=before,
        after=after,
        before_usd_per_day=compared.before_usd_per_day,
        after_usd_per_day=compared.after_usd_per_day,
        before_days=len(compared.days_before),
        after_days=len(own),
        after_usd=sum((row["cost_usd"] for row in own), Decimal(0)),
        unit_before=compared.unit_before,
        unit_after=compared.unit_after,
        parts=find_parts(con, compared, of_success=is_of_success),
        movers=tuple(movers),
        news=tuple(_find_news(state, incident, movers)),
        expected=_find_expected(con, name, incident, after, own),
        settled_through=known["settled_through"],
        waits_for=known["waits_for"] or "",
        provisional_days=sum(not row["is_settled"] for row in own),
        estimated_days=sum(bool(row["is_estimated"]) for row in own),
        incident_id="" if incident is None else incident.id,
        has_incident_days=incident is not None and after == _days_of(incident),
        sql=make_sql(name, before, after, of_success=is_of_success),
        is_of_success=is_of_success,
    )


def _is_of_success(incident: Incident | None, compared: Comparison) -> bool:
    """Whether it is the cost of a success that moved: an incident says so, or it did and the cost did not."""
    if not compared.has_success_cost:
        return False
    if incident is not None:
        return incident.kind == "unit_cost"
    assert compared.unit_before is not None
    assert compared.unit_after is not None
    moved = abs(compared.unit_after.cost_per_success_usd / compared.unit_before.cost_per_success_usd - 1) * 100
    usd_before, usd_after = compared.before_usd_per_day, compared.after_usd_per_day
    cost_moved = abs(usd_after / usd_before - 1) * 100 if usd_before > 0 else moved
    return moved >= MOVED_UNIT_PERCENT > cost_moved


def _find_movers(rows: Iterable[Mapping[str, Any]], after: Days, *, days_before: int, days_after: int) -> list[Mover]:
    """Of each dimension those that moved most; a dimension whose one member moved by as much as the cost is told too:
    it says that nothing else did."""
    movers: dict[str, list[Mover]] = {}
    for row in rows:
        seen = row["first_seen"]
        mover = Mover(
            dimension=row["dimension"],
            member=row["member"],
            before_usd_per_day=(row["before_usd"] / max(days_before, 1)).quantize(_PLACES, ROUND_HALF_EVEN),
            after_usd_per_day=(row["after_usd"] / max(days_after, 1)).quantize(_PLACES, ROUND_HALF_EVEN),
            first_seen=seen,
            is_new=seen is not None and seen >= after.first - timedelta(days=1),  # an onset is an estimate
        )
        if mover.change_usd_per_day:
            movers.setdefault(mover.dimension, []).append(mover)
    return [
        mover
        for dimension in DIMENSIONS
        for mover in sorted(movers.get(dimension, []), key=lambda one: (-abs(one.change_usd_per_day), one.member))[
            : MOST_FEATURES if dimension == "feature" else MOVERS
        ]
    ]


def _find_news(state: StateStore, incident: Incident | None, movers: Iterable[Mover]) -> list[str]:
    """What the incident's card says was new; else what the bill first names on the first day or later."""
    from alerts.figures import fit, format_short_day, format_signed_usd
    from alerts.message import RenderContext
    from alerts.message.sentences import DIMENSIONS as WORDS
    from flows.steps.findings import recall_findings

    if incident is not None:
        context = recall_findings(state, RenderContext(as_of=incident.last_day), task_url=None)
        if told := context.changes.get(incident.id):
            return list(told)
    return [
        f"New {WORDS.get(mover.dimension, mover.dimension)} {fit(mover.member, 100)}, first seen "
        f"{format_short_day(mover.first_seen)}: {format_signed_usd(mover.change_usd_per_day)}/day"
        for mover in movers
        if mover.is_new and mover.first_seen is not None
    ]


def _find_expected(
    con: duckdb.DuckDBPyConnection,
    name: str,
    incident: Incident | None,
    after: Days,
    own: Sequence[Mapping[str, Any]],
) -> Expectation | None:
    """What the incident says; else the forecast of these days from the days before them."""
    from alerts.incidents import break_from_json
    from alerts.model import CONDITION_KINDS

    if incident is not None and incident.kind not in CONDITION_KINDS and "break" in incident.details:
        found = break_from_json(incident.details["break"])
        if (found.onset, found.last_day) == (after.first, after.last):
            return Expectation(
                found.expected_usd_per_day,
                found.expected_lower_usd_per_day,
                found.expected_upper_usd_per_day,
                "as the incident was judged",
            )
    import numpy as np

    from alerts.forecast import forecast_panel
    from warehouse.reads import read_explained_cost

    begin = after.first - timedelta(days=HISTORY_DAYS)
    yesterday = after.first - timedelta(days=1)
    past = read_explained_cost(con, feature=name, since=begin, until=yesterday, base_since=begin, base_until=yesterday)
    if len(past) < LEAST_HISTORY_DAYS:
        return None
    start = past[0]["charge_date"]
    series = np.full((1, (after.first - start).days), np.nan)
    for row in past:
        if row["cost_usd"] is not None:
            series[0, (row["charge_date"] - start).days] = float(row["cost_usd"])
    forecast = forecast_panel(series, start=start, horizon=after.span)
    mean, low, high = forecast.mean[0], forecast.lower[0.95][0], forecast.upper[0.95][0]
    counted = [place for place in range(after.span) if after.holds(after.first + timedelta(days=place))]
    if not np.isfinite(mean).all():
        return None
    outside = sum(
        not low[place] <= float(row["cost_usd"]) <= high[place]
        for row in own
        if 0 <= (place := (row["charge_date"] - after.first).days) < after.span
    )
    usual, least, most = (Decimal(f"{float(np.mean(figures[counted])):.6f}") for figures in (mean, low, high))
    return Expectation(usual, least, most, "forecast from the days before", outside)


def make_sql(name: str, before: Days, after: Days, *, of_success: bool = False) -> str:
    """The query that gives both periods' days and dollars; `of_success`: what a success cost in both."""
    from alerts.message.reproduce import sql_text
    from alerts.model import ALL_FEATURES

    where = "NOT starts_with(feature, 'shared: ')" if name == ALL_FEATURES else f"feature = {sql_text(name)}"
    day = "usage_date" if of_success else "charge_date"
    own = f"{day} BETWEEN DATE '{after.first}' AND DATE '{after.last}'"
    base = f"{day} BETWEEN DATE '{before.first}' AND DATE '{before.last}'"
    on = ""
    if after.weekdays != EVERY_WEEKDAY:
        on = f"  AND isodow({day}) IN ({', '.join(str(n + 1) for n in after.weekdays)})\n"
    table = "feature_cost_daily"
    figures = (
        "       count(DISTINCT charge_date) AS days,\n"
        "       sum(effective_cost_before_credits_usd) AS cost_usd,\n"
        "       sum(effective_cost_before_credits_usd) / count(DISTINCT charge_date) AS cost_usd_per_day\n"
    )
    if of_success:
        table = "feature_unit_economics_daily"
        figures = (
            "       sum(serving_cost_usd) AS serving_cost_usd,\n"
            "       sum(successful_tasks) AS successful_tasks,\n"
            "       sum(serving_cost_usd) / sum(successful_tasks) AS cost_per_success_usd\n"
        )
        on += "  AND is_settled AND is_outcome_settled\n"
        on += "  AND successful_tasks IS NOT NULL AND serving_cost_usd IS NOT NULL\n"
    return (
        f"SELECT CASE WHEN {own} THEN 'after' ELSE 'before' END AS period,\n{figures}"
        f"FROM marts.{table}\n"
        f"WHERE {where}\n{on}"
        f"  AND ({own}\n"
        f"    OR {base})\n"
        f"GROUP BY period ORDER BY period DESC"
    )
