"""The weekly digest: where the money went, what moved, what the month comes to, and how good the alerts were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from alerts.figures import (
    fit,
    format_percent,
    format_short_day,
    format_signed_percent,
    format_signed_usd,
    format_usd,
)
from alerts.message.sentences import name_node
from alerts.model import UNALLOCATED, Fact, Message, Section

_MOST_FEATURES = 8
_MOST_GOING_ON = 15
_MOST_MOVERS = 5
_MOST_ACTIONS = 8
_LEAST_MOVE_USD = Decimal("10")
_LEAST_MOVE_PERCENT = Decimal("10")


@dataclass(frozen=True)
class DigestFeature:
    """One feature's week, US dollars. `before_usd`: the week before it, None where it did not exist yet.
    `cost_per_success_usd`, also before: None where no outcome is known. `estimated_share`: of it, from 0 to 1, the cost
    of calls without a bill."""

    feature: str
    cost_usd: Decimal
    before_usd: Decimal | None = None
    month_end_usd: Decimal | None = None
    monthly_budget_usd: Decimal | None = None
    cost_per_success_usd: Decimal | None = None
    cost_per_success_before_usd: Decimal | None = None
    estimated_share: Decimal = Decimal(0)


@dataclass(frozen=True)
class DigestFacts:
    """What a digest is made of. `week_start`..`week_end`: seven settled days, both included.

    `opened`, `false_alarms`, `confirmed`: incidents of the last 90 days, and how many of them people called a
    false alarm or answered in any other way. `going_on`: titles of the incidents that are open. `savings`: the
    largest found, each with the dollars a month that are expected; they overlap. `actions`: what was done to save and
    is judged this week, each a line with its predicted and its realised saving. `report_url`: where people open the
    report; "" where it is nowhere but in a file.
    """

    week_start: date
    week_end: date
    channel: str
    features: tuple[DigestFeature, ...]
    going_on: tuple[str, ...] = ()
    opened: int = 0
    confirmed: int = 0
    false_alarms: int = 0
    savings: tuple[tuple[str, Decimal], ...] = ()
    actions: tuple[str, ...] = ()
    report_url: str = ""


def render_digest(facts: DigestFacts) -> Message:
    """The digest as one message. Its key is the week's and the channel's: a second run sends nothing new."""
    features = sorted(facts.features, key=lambda row: -row.cost_usd)
    total = sum((row.cost_usd for row in features), Decimal(0))
    known = [row for row in features if row.before_usd is not None]
    before = sum((row.before_usd for row in known if row.before_usd is not None), Decimal(0))
    year, week, _ = facts.week_end.isocalendar()
    days = f"{format_short_day(facts.week_start)} to {format_short_day(facts.week_end)}"
    return Message(
        idempotency_key=f"digest/{year}-W{week:02d}/{facts.channel}",
        incident_id=f"digest-{year}-W{week:02d}",
        action="open",
        severity="low",
        channel=facts.channel,
        title=f"📊 {days}: {format_usd(total)}{_change(total, before)}",
        summary=_summarise(features, total),
        facts=tuple(_facts(facts, features, total)),
        why=(),
        footnotes=(
            "Effective cost before promotional credits; settled days only.",
            *(() if facts.report_url else ("The whole report as one page, to forward: trendbreak report",)),
        ),
        links=(("The whole report", facts.report_url),) if facts.report_url else (),
        owner="",
        sql="",
        sections=tuple(
            section
            for section in (
                Section("Features", tuple(_describe_feature(row, total) for row in features[:_MOST_FEATURES])),
                Section("Movers", tuple(_describe_movers(features))),
                Section("Month end against budget", tuple(_describe_budgets(features))),
                Section("Savings found, a month", tuple(_describe_savings(facts))),
                Section("What was done to save, two weeks on", tuple(_describe_actions(facts.actions))),
                Section("Going on", tuple(_list_going_on(facts.going_on))),
            )
            if section.lines
        ),
    )


def _list_going_on(titles: tuple[str, ...]) -> list[str]:
    lines = [fit(title, 140) for title in titles[:_MOST_GOING_ON]]
    rest = len(titles) - len(lines)
    return [*lines, f"and {rest} more: trendbreak incidents list --all"] if rest else lines


def _describe_savings(facts: DigestFacts) -> list[str]:
    return [f"about {format_usd(usd)}: {fit(what, 140)}" for what, usd in facts.savings]


def _describe_actions(actions: tuple[str, ...]) -> list[str]:
    lines = [fit(action, 240) for action in actions[:_MOST_ACTIONS]]
    rest = len(actions) - len(lines)
    return [*lines, f"and {rest} more: trendbreak action list"] if rest else lines


def _change(after: Decimal, before: Decimal | None) -> str:
    """` (+12%)`; empty where there is nothing to compare with."""
    if before is None or before <= 0:
        return ""
    return f" ({format_signed_percent(Decimal(round((after / before - 1) * 100)))})"


def _summarise(features: list[DigestFeature], total: Decimal) -> str:
    if not features or total <= 0:
        return "No AI cost in these days."
    first = features[0]
    share = format_percent(Decimal(round(first.cost_usd / total * 100)))
    text = f"{name_node(first.feature)} is the largest with {format_usd(first.cost_usd)}, {share} of all."
    movers = _find_movers(features)
    if movers:
        row, change = movers[0]
        word = "rose" if change > 0 else "fell"
        text += f" {name_node(row.feature)} {word} most: {format_signed_usd(change)} against the week before."
    return text


def _facts(facts: DigestFacts, features: list[DigestFeature], total: Decimal) -> list[Fact]:
    shown = [Fact("This week", format_usd(total))]
    month_ends = [row.month_end_usd for row in features if row.month_end_usd is not None]
    if month_ends:
        shown.append(Fact("Month end, expected", format_usd(sum(month_ends, Decimal(0)))))
    unallocated = next((row.cost_usd for row in features if row.feature == UNALLOCATED), Decimal(0))
    if total > 0:
        share = format_percent(Decimal(round(unallocated / total * 100, 1)))
        shown.append(Fact("Belongs to no feature", f"{format_usd(unallocated)} ({share})"))
    answered = facts.confirmed + facts.false_alarms
    if answered:
        right = format_percent(Decimal(round(facts.confirmed / answered * 100)))
        shown.append(
            Fact("Alerts, 90 days", f"{facts.opened} told, {answered} answered, {right} of these no false alarm")
        )
    elif facts.opened:
        shown.append(Fact("Alerts, 90 days", f"{facts.opened} told, none answered yet"))
    return shown


def _describe_feature(row: DigestFeature, total: Decimal) -> str:
    share = f", {format_percent(Decimal(round(row.cost_usd / total * 100)))}" if total > 0 else ""
    text = f"{name_node(row.feature)}: {format_usd(row.cost_usd)}{_change(row.cost_usd, row.before_usd)}{share}"
    if row.cost_per_success_usd is not None:
        change = _change(row.cost_per_success_usd, row.cost_per_success_before_usd)
        text += f"; {format_usd(row.cost_per_success_usd)}{change} per success"
        if estimated := round(row.estimated_share * 100):
            text += f", {format_percent(Decimal(estimated))} of it estimated"
    return text


def _find_movers(features: list[DigestFeature]) -> list[tuple[DigestFeature, Decimal]]:
    movers: list[tuple[DigestFeature, Decimal]] = []
    for row in features:
        before = row.before_usd or Decimal(0)
        change = row.cost_usd - before
        if abs(change) >= _LEAST_MOVE_USD and abs(change) * 100 >= before * _LEAST_MOVE_PERCENT:
            movers.append((row, change))
    return sorted(movers, key=lambda mover: -abs(mover[1]))


def _describe_movers(features: list[DigestFeature]) -> list[str]:
    return [
        f"{format_signed_usd(change)} {name_node(row.feature)}" + ("" if row.before_usd else ", new")
        for row, change in _find_movers(features)[:_MOST_MOVERS]
    ]


def _describe_budgets(features: list[DigestFeature]) -> list[str]:
    lines: list[tuple[Decimal, str]] = []
    for row in features:
        if row.month_end_usd is None or not row.monthly_budget_usd:
            continue
        share = row.month_end_usd / row.monthly_budget_usd * 100
        over = row.month_end_usd - row.monthly_budget_usd
        verdict = f"{format_usd(over)} over" if over > 0 else "within"
        lines.append(
            (
                -share,
                f"{name_node(row.feature)}: {format_usd(row.month_end_usd)} of {format_usd(row.monthly_budget_usd)} "
                f"({format_percent(Decimal(round(share)))}), {verdict}",
            )
        )
    return [line for _, line in sorted(lines)]
