"""The conditions that are watched: freshness of sources, coverage of spend and telemetry, budgets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from alerts.conditions import Condition
from alerts.figures import format_day, format_days, format_likely, format_percent, format_short_day, format_usd
from alerts.message.sentences import name_node
from alerts.model import ALL_FEATURES, UNALLOCATED, Direction, FeaturePanel, Floats, Severity
from alerts.mutes import Mute

_PLAIN_NAME = re.compile(r"\w[\w.-]{0,59}", re.ASCII)
_STEADY_SHARE = 0.9  # of days with a charge: so many, and a day without one is news
_STEADY_SPAN_DAYS = 14
_COVERAGE_DAYS = 7
_BASELINE_DAYS = 28
_RISE_POINTS = Decimal(10)
_TELEMETRY_GAP_DAYS = 2
_OUTCOME_DROP = 0.5
_LEAST_OUTCOMES = 20  # expected in the days that lack them: of fewer, half are soon missing by chance


@dataclass(frozen=True)
class SourceDays:
    """One source: how late it is, and how steadily it charged. Days are None where it has no charges."""

    name: str
    days_late: int | None
    data_through: date | None
    last_charge_date: date | None
    charge_days: int = 0
    span_days: int = 0
    failure: str = ""


def find_stale_sources(sources: Iterable[SourceDays], *, as_of: date, late_days: int) -> list[Condition]:
    """Sources that are `late_days` or more behind, and steady ones whose bill has stopped growing for so long."""
    return [condition for source in sources if (condition := _judge_source(source, as_of, late_days)) is not None]


def _judge_source(source: SourceDays, as_of: date, late_days: int) -> Condition | None:
    late = source.days_late or 0
    newest, charged = source.data_through, source.last_charge_date
    if newest is None:
        return None
    is_steady = source.span_days >= _STEADY_SPAN_DAYS and source.charge_days >= _STEADY_SHARE * source.span_days
    flat = (newest - charged).days if charged is not None and is_steady else 0
    is_flat = late < late_days <= flat
    since = (charged if is_flat and charged is not None else newest) + timedelta(days=1)
    days = flat if is_flat else late
    first = format_day(since, today=as_of)
    name = source.name
    if is_flat:
        title = f"{name}: its bill has stopped growing"
        summary = (
            f"{name} answers, but has charged nothing since {first}, where it used to charge every day. "
            f"Either nothing is used any more, or what is used is billed elsewhere."
        )
        cure = "Ask whether its keys, project or export moved; `trendbreak check` tests the source."
    else:
        title = f"{name}: {format_days(days)} late"
        why = f" The last try failed: {source.failure.splitlines()[0]}" if source.failure else ""
        summary = f"{name} has brought no day since {first}; it is {format_days(days)} late.{why}"
        cure = "`trendbreak check` says what is wrong; until it is back, its features are not judged beyond that day."
    return Condition(
        kind="freshness",
        node=name,
        since=since,
        level=1 + (days >= 2 * late_days) + (days >= 4 * late_days),
        severity="high" if days >= 4 * late_days else "medium",
        title=title,
        summary=summary,
        facts=(("Newest day", format_day(newest, today=as_of)), ("Behind", format_days(days))),
        cure=cure,
        sql="SELECT source_name, data_through, last_charge_date, days_late FROM marts.freshness ORDER BY source_name",
        holds=days >= late_days,
        closing=f"{name} is back: its newest day is {format_day(newest, today=as_of)}.",
    )


def find_untagged(
    days: Sequence[Mapping[str, Any]], *, through: date, max_percent: Decimal, min_usd_per_day: Decimal, as_of: date
) -> list[Condition]:
    """AI spend without a feature: beyond the limit over the last week, and ten points more than the four weeks
    before. `days`: rows with charge_date, ai_tagged_usd, ai_unallocated_usd."""
    week = through - timedelta(days=_COVERAGE_DAYS - 1)
    recent = [row for row in days if week <= row["charge_date"] <= through]
    before = [row for row in days if week - timedelta(days=_BASELINE_DAYS) <= row["charge_date"] < week]
    now, usual = _untagged_percent(recent), _untagged_percent(before)
    if now is None:
        return []
    loose = sum((row["ai_unallocated_usd"] for row in recent), Decimal(0)) / _COVERAGE_DAYS
    is_over = now > max_percent and loose >= min_usd_per_day
    rose = usual is None or now - usual >= _RISE_POINTS
    share = format_percent(Decimal(round(now)))
    limit = format_percent(max_percent)
    return [
        Condition(
            kind="coverage",
            node=UNALLOCATED,
            since=week,
            level=1 + int(now >= (max_percent + 100) / 2),
            severity="medium",
            title=f"{share} of AI spend belongs to no feature",
            summary=(
                f"Over the week to {format_day(through, today=as_of)}, {share} of AI spend belongs to no feature "
                f"({format_usd(loose)} a day); the limit is {limit}."
            ),
            facts=(
                ("Last week", f"{share} without a feature"),
                ("Four weeks before", "–" if usual is None else format_percent(Decimal(round(usual)))),
                ("Limit", limit),
            ),
            cure="`trendbreak tags check` lists what is left over, the largest first, with a rule for each.",
            sql=(
                "SELECT charge_date, source_name, ai_tagged_usd, ai_unallocated_usd, ai_tagged_share\n"
                f"FROM marts.coverage WHERE charge_date >= DATE '{week.isoformat()}' ORDER BY charge_date"
            ),
            # Once told, it goes on until the share is back under the limit; a share that always was so is no news.
            holds=True if is_over and rose else False if now <= max_percent * Decimal("0.9") else None,
            closing=f"{format_percent(100 - Decimal(round(now)))} of AI spend belongs to a feature again.",
        )
    ]


def _untagged_percent(rows: Sequence[Mapping[str, Any]]) -> Decimal | None:
    loose = sum((row["ai_unallocated_usd"] for row in rows), Decimal(0))
    whole = loose + sum((row["ai_tagged_usd"] for row in rows), Decimal(0))
    return loose / whole * 100 if whole > 0 else None


def find_telemetry_gaps(
    panel: FeaturePanel, *, unsplit_usd: Floats, telemetry_through: date | None, as_of: date
) -> list[Condition]:
    """Features whose telemetry, or whose outcomes, stopped while their cost went on.

    `unsplit_usd` [T]: what splits could not give away, on the panel's days: the cost of a feature that only a split
    by telemetry gives it goes there when its telemetry is missing.
    `telemetry_through`: the newest day that any telemetry has. Days after it are late, which is another matter.
    """
    found: list[Condition] = []
    if telemetry_through is None:
        return found
    last = min((telemetry_through - panel.start).days, panel.cost_usd.shape[1] - 1)
    if last < _BASELINE_DAYS:
        return found
    for row, feature in enumerate(panel.features):
        if feature == UNALLOCATED:
            continue
        calls = _judge_telemetry(panel, unsplit_usd, row, feature, last, as_of)
        outcomes = None if calls is not None and calls.holds else _judge_outcomes(panel, row, feature, as_of)
        # One incident tells of either; what is over is said of it only when neither is missing.
        speaks = outcomes if calls is None or (outcomes is not None and outcomes.holds is not False) else calls
        found += [] if speaks is None else [speaks]
    return found


def _judge_telemetry(
    panel: FeaturePanel, unsplit_usd: Floats, row: int, feature: str, last: int, as_of: date
) -> Condition | None:
    calls = panel.calls[row, : last + 1]
    known = np.flatnonzero(np.isfinite(calls) & (calls > 0))
    if not known.size:
        return None
    newest = int(known[-1])
    past = calls[max(0, newest - _BASELINE_DAYS + 1) : newest + 1]
    is_steady = len(past) >= _STEADY_SPAN_DAYS and float(np.mean(past > 0)) >= _STEADY_SHARE
    gap = last - newest
    gone = slice(newest + 1, last + 1)
    paid, unsplit = float(np.nansum(panel.cost_usd[row, gone])), float(np.nansum(unsplit_usd[gone]))
    if not is_steady or (gap and paid + unsplit <= 0):
        return None
    since = panel.start + timedelta(days=newest + 1)
    name = name_node(feature)
    return Condition(
        kind="coverage",
        node=feature,
        since=since,
        level=1 + int(gap >= 7),
        severity="medium",
        title=f"{name}: its telemetry is missing",
        summary=(
            f"No call of {name} has been reported since {format_day(since, today=as_of)}, while its bill goes on. "
            f"Its cost per task is unknown, and what its telemetry divides goes to no feature meanwhile."
        ),
        facts=(
            ("Days without a call", str(gap)),
            ("Its cost in these days", _usd(paid)),
            ("Went to no feature meanwhile", _usd(unsplit)),
        ),
        cure="Look at the job that writes or sends its telemetry; `trendbreak check` tests the source.",
        sql=_usage_sql(feature, since),
        holds=gap >= _TELEMETRY_GAP_DAYS if gap else False,
        closing=f"The telemetry of {name} is back.",
        lost="telemetry",
    )


def _usd(figure: float) -> str:
    return format_usd(Decimal(repr(round(figure, 2))))


def _judge_outcomes(panel: FeaturePanel, row: int, feature: str, as_of: date) -> Condition | None:
    tasks, told = panel.tasks[row], panel.tasks_with_outcome[row]
    known = np.flatnonzero(np.isfinite(tasks) & np.isfinite(told) & (tasks > 0))
    if known.size < _BASELINE_DAYS:
        return None
    share = told[known] / tasks[known]
    usual = float(np.median(share[-_BASELINE_DAYS:-_TELEMETRY_GAP_DAYS]))
    recent = share[-_TELEMETRY_GAP_DAYS:]
    if usual < 0.2:
        return None
    low = share < _OUTCOME_DROP * usual
    run = int(np.argmin(low[::-1])) if not low.all() else len(low)
    is_enough = usual * float(tasks[known][len(known) - run :].sum()) >= _LEAST_OUTCOMES
    since = panel.start + timedelta(days=int(known[len(known) - run])) if run else as_of
    name = name_node(feature)
    now = format_percent(Decimal(round(float(recent.mean()) * 100)))
    was = format_percent(Decimal(round(usual * 100)))
    return Condition(
        kind="coverage",
        node=feature,
        since=since,
        level=1,
        severity="medium",
        title=f"{name}: outcomes are missing",
        summary=(
            f"Since {format_day(since, today=as_of)} only {now} of the tasks of {name} have an outcome, "
            f"where {was} had. Its cost per success is not judged until they are back."
        ),
        facts=(("Tasks with an outcome", now), ("Usual", was)),
        cure="Look at what reports the outcomes; late ones are joined by task id when they come.",
        sql=_usage_sql(feature, since),
        holds=True if run >= _TELEMETRY_GAP_DAYS and is_enough else False if run == 0 else None,
        closing=f"The outcomes of {name} are reported again.",
        lost="outcomes",
    )


def _usage_sql(feature: str, since: date) -> str:
    from alerts.message.reproduce import sql_text

    return (
        f"SELECT usage_date, calls, tasks, tasks_with_outcome, effective_cost_before_credits_usd\n"
        f"FROM marts.feature_unit_economics_daily\nWHERE feature = {sql_text(feature)}\n"
        f"  AND usage_date >= DATE '{(since - timedelta(days=14)).isoformat()}'\nORDER BY usage_date"
    )


def find_mutes(conditions: Iterable[Condition]) -> dict[str, Mute]:
    """Which nodes' breaks a loss would fake: of telemetry the feature's own fall and its unit costs, of outcomes only
    its unit costs (what it costs in all does not depend on them)."""
    mutes: dict[str, Mute] = {}
    for condition in conditions:
        if condition.lost and condition.holds:
            direction: Direction | None = "down" if condition.lost == "telemetry" else None
            mutes[condition.node] = Mute(condition.since, f"it has lost its {condition.lost}", direction)
    return mutes


def explain_by_split(loose: Floats, *, start: date, onset: date, last_day: date, excess_usd_per_day: Decimal) -> bool:
    """Whether what splits could not give away (`loose` [T], from `start`) explains half of what is unallocated."""
    first, last = (onset - start).days, (last_day - start).days
    after = loose[max(first, 0) : last + 1]
    before = loose[max(first - _BASELINE_DAYS, 0) : max(first, 0)]
    if not after.size or excess_usd_per_day <= 0:
        return False
    step = float(np.nanmean(after)) - (float(np.nanmean(before)) if before.size else 0.0)
    return step >= 0.5 * float(excess_usd_per_day)


def find_budgets(month_ends: Iterable[Mapping[str, Any]], *, least_probability: float, as_of: date) -> list[Condition]:
    """Budgets that will likely be broken, or are: one per feature (and the total) and month.

    `month_ends`: rows of the state store's month-end forecasts of this run. The total of one feature is that feature.
    """
    rows = [row for row in month_ends if row["monthly_budget_usd"] and row["breach_probability"] is not None]
    is_sum = sum(row["feature"] != ALL_FEATURES for row in rows) > 1
    return [_judge_budget(row, least_probability, as_of) for row in rows if is_sum or row["feature"] != ALL_FEATURES]


def _judge_budget(row: Mapping[str, Any], least_probability: float, as_of: date) -> Condition:
    month: date = row["month"]
    budget, spent, end = row["monthly_budget_usd"], row["month_to_date_usd"], row["mean_usd"]
    probability = float(row["breach_probability"])
    is_over = spent >= budget
    level = 3 if spent >= budget * Decimal("1.5") else 2 if is_over else 1
    name = name_node(row["feature"])
    verb, its = ("are", "their") if row["feature"] == ALL_FEATURES else ("is", "its")
    likely = format_likely(probability)
    over = end - budget
    share = format_percent(Decimal(round(end / budget * 100)))
    if is_over:
        title = f"{name}: over {its} budget by {format_usd(spent - budget)}"
        summary = (
            f"{name} {'have' if its == 'their' else 'has'} cost {format_usd(spent)} this month, "
            f"{format_usd(spent - budget)} more than {its} budget of "
            f"{format_usd(budget)}; the month is heading for {format_usd(end)}."
        )
    else:
        day = f", about {format_short_day(row['breach_date'])}" if row["breach_date"] else ""
        title = f"{name}: {likely} likely to go over {its} budget"
        room = f"{format_usd(over)} more than" if over > 0 else "within"
        summary = (
            f"{name} {verb} heading for {format_usd(end)} this month, {room} {its} budget of {format_usd(budget)}: "
            f"{likely} likely to go over{day}."
        )
    severity: Severity = "high" if level >= 2 else "medium"
    return Condition(
        kind="budget",
        node=row["feature"],
        since=month,
        level=level,
        severity=severity,
        title=title,
        summary=summary,
        facts=(
            ("Budget", f"{format_usd(budget)} a month"),
            ("So far", format_usd(spent)),
            ("Month end, expected", f"{format_usd(end)} ({share})"),
            ("Chance to go over", likely),
        ),
        cure=(
            f"`trendbreak explain {_as_word(row['feature'])}` shows what the dollars are spent on; if the budget is "
            f"outgrown, raise monthly_budget_usd in features.yml."
        ),
        sql=(
            "SELECT as_of, month_to_date_usd, mean_usd, lower_80_usd, upper_80_usd, breach_probability\n"
            f"FROM ops.month_end_forecasts WHERE month = DATE '{month.isoformat()}' ORDER BY as_of, feature"
        ),
        holds=_holds(probability, least_probability, is_over),
        closing=f"{name} {verb} heading for {format_usd(end)} of {format_usd(budget)}: within {its} budget again.",
        episode=month.year * 12 + month.month,
        excess_usd=max(over, Decimal(0)),
    )


def _as_word(feature: str) -> str:
    """Its name as a shell takes it; a placeholder for one that would need quotes."""
    return feature if _PLAIN_NAME.fullmatch(feature) else "NAME"


def _holds(probability: float, least: float, is_over: bool) -> bool | None:
    if probability >= least or is_over:
        return True
    return False if probability < least / 2 else None


__all__ = [
    "SourceDays",
    "explain_by_split",
    "find_budgets",
    "find_mutes",
    "find_stale_sources",
    "find_telemetry_gaps",
    "find_untagged",
]
