"""Incidents that are no break of a trend: what is done with a source, a coverage or a budget, day by day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from alerts.blocks import to_blocks, to_text
from alerts.conditions import Condition, ConditionKind, decide_conditions
from alerts.incidents import decide, incident_from_row, incident_to_row, record_click
from alerts.message import render, render_card, render_click
from alerts.model import Action, Direction, Incident
from alerts.terminal import to_plain_text
from alerts.watches import (
    SourceDays,
    find_budgets,
    find_mutes,
    find_stale_sources,
    find_telemetry_gaps,
    find_untagged,
)
from tests.alerts.breaks.worlds import START, make_panel
from tests.alerts.golden_files import check_golden
from tests.alerts.stories import AS_OF, CONTEXT, NOW, ROUTING, make_break

ALL: set[ConditionKind] = {"freshness", "coverage", "budget"}


class Days:
    """A ledger that lives from day to day, kept as the state store keeps it."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    @property
    def incidents(self) -> list[Incident]:
        return [incident_from_row(row) for row in self.rows.values()]

    def run(self, conditions: list[Condition], *, day: date = AS_OF, judged: set[ConditionKind] = ALL) -> list[Action]:
        now = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
        actions = decide_conditions(conditions, self.incidents, judged=judged, now=now, as_of=day, routing=ROUTING)
        for action in actions:
            self.rows[action.incident.id] = incident_to_row(action.incident)
        return actions

    def kinds(self, conditions: list[Condition], **more: Any) -> list[str]:
        return [action.kind for action in self.run(conditions, **more)]


def late(days: int, **more: Any) -> list[Condition]:
    newest = AS_OF - timedelta(days=1 + days)
    return find_stale_sources([SourceDays("aws", days, newest, newest, 60, 60, **more)], as_of=AS_OF, late_days=3)


def budget(probability: float, *, spent: str = "6000", month: date = date(2026, 11, 1)) -> list[Condition]:
    row = {
        "feature": "support_chat", "month": month, "monthly_budget_usd": Decimal(12000), "mean_usd": Decimal(14100),
        "month_to_date_usd": Decimal(spent), "breach_probability": probability, "breach_date": date(2026, 11, 26),
    }  # fmt: skip
    return find_budgets([row], least_probability=0.8, as_of=AS_OF)


def test_a_late_source_is_told_once_escalates_and_is_resolved() -> None:
    days = Days()
    assert days.kinds(late(2)) == []
    assert days.kinds(late(3)) == ["open"]
    assert days.kinds(late(4)) == ["skip"]
    assert days.kinds(late(6)) == ["escalate"]
    assert days.kinds(late(7)) == ["skip"]
    assert days.kinds(late(0)) == ["resolve"]
    assert days.kinds(late(0)) == ["skip"]
    assert days.kinds(late(3), day=AS_OF + timedelta(days=3)) == ["update"]  # the same thread, reopened
    assert days.kinds(late(0), day=AS_OF + timedelta(days=3)) == ["resolve"]
    assert days.kinds(late(3), day=AS_OF + timedelta(days=30)) == ["open"]
    assert len({incident.id for incident in days.incidents}) == 2


def test_what_a_run_could_not_judge_is_left_alone() -> None:
    days = Days()
    days.run([*late(3), *budget(0.9)])
    assert days.kinds(late(3), judged={"freshness"}) == ["skip"]
    assert [incident.status for incident in days.incidents] == ["open", "open"]


def test_a_budget_is_one_incident_per_month_with_a_pause_between_opening_and_closing() -> None:
    days = Days()
    assert days.kinds(budget(0.79)) == []
    assert days.kinds(budget(0.80)) == ["open"]
    assert days.kinds(budget(0.55)) == ["skip"]
    assert days.kinds(budget(0.95)) == ["skip"]
    assert days.kinds(budget(1.0, spent="12100")) == ["escalate"]
    assert days.kinds(budget(1.0, spent="18100")) == ["escalate"]
    [over] = days.run(budget(0.1, month=date(2026, 12, 1)))
    assert over.kind == "resolve"
    assert "The month is over" in over.reason
    assert days.kinds(budget(0.9, month=date(2026, 12, 1))) == ["open"]


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("expected", ["skip", "escalate"]),
        ("false_alarm", ["skip", "skip"]),
        ("investigating", ["skip", "escalate"]),
        ("resolve", ["skip", "escalate"]),
        ("snooze", ["skip", "update"]),
    ],
)
def test_what_a_person_answers_changes_what_follows(answer: str, kinds: list[str]) -> None:
    days = Days()
    [opened] = days.run(late(3))
    answered = record_click(opened.incident, answer, who="@maya", now=NOW, snoozed_until=AS_OF + timedelta(days=5))
    days.rows[answered.id] = incident_to_row(answered)
    assert [days.kinds(late(4))[0], days.kinds(late(6))[0]] == kinds


def test_breaks_and_conditions_leave_each_other_alone() -> None:
    days = Days()
    days.run([*late(3), *budget(0.9)])
    assert decide([], days.incidents, now=NOW, as_of=AS_OF, routing=ROUTING) == []


def test_untagged_spend_is_news_when_it_rises_beyond_the_limit() -> None:
    def rows(recent: int, before: int) -> list[dict[str, Any]]:
        return [
            {
                "charge_date": AS_OF - timedelta(days=n),
                "ai_tagged_usd": Decimal(1000 - (recent if n < 7 else before)),
                "ai_unallocated_usd": Decimal(recent if n < 7 else before),
            }
            for n in range(35)
        ]

    def judge(recent: int, before: int) -> Condition:
        [found] = find_untagged(
            rows(recent, before), through=AS_OF, max_percent=Decimal(50), min_usd_per_day=Decimal(20), as_of=AS_OF
        )
        return found

    assert judge(600, 100).holds is True
    assert judge(600, 560).holds is None  # it always was so
    assert judge(300, 100).holds is False
    assert find_untagged([], through=AS_OF, max_percent=Decimal(50), min_usd_per_day=Decimal(20), as_of=AS_OF) == []


LOST_DAYS = 5


def lose(field: str | None, *, lost_days: int = LOST_DAYS, tasks: float = 50.0) -> Condition:
    """The one condition of a feature with so many tasks a day whose calls, or outcomes, stop for the last days."""
    days = 60
    telemetry = {name: {"chat": np.full(days, tasks)} for name in ("calls", "tasks", "tasks_with_outcome")}
    if field is not None:
        telemetry[field]["chat"][days - lost_days :] = 0
    panel = make_panel({"chat": np.full(days, 300.0)}, **telemetry)
    newest = START + timedelta(days=days - 1)
    [condition] = find_telemetry_gaps(panel, unsplit_usd=np.zeros(days), telemetry_through=newest, as_of=newest)
    return condition


@pytest.mark.parametrize(
    ("lost_days", "tasks", "holds"),
    [(2, 50.0, True), (1, 50.0, None), (5, 3.0, None), (7, 3.0, True)],  # of three tasks a day, half miss by chance
)
def test_missing_outcomes_are_news_beside_calls_that_are_there(
    lost_days: int, tasks: float, holds: bool | None
) -> None:
    lost = lose("tasks_with_outcome", lost_days=lost_days, tasks=tasks)
    assert (lost.lost, lost.holds) == ("outcomes", holds)


@pytest.mark.parametrize(("field", "word"), [("calls", "telemetry"), ("tasks_with_outcome", "outcomes")])
def test_what_is_back_is_what_was_missing(field: str, word: str) -> None:
    days = Days()
    assert days.kinds([lose(field)]) == ["open"]
    [closed] = days.run([lose(None)])
    assert (closed.kind, f"The {word} of chat" in closed.reason) == ("resolve", True)
    assert days.kinds([lose(None)]) == ["skip"]


@pytest.mark.parametrize(
    ("field", "direction", "kinds", "told"),
    [
        ("calls", "down", ["cost"], None),
        ("calls", "up", ["unit_cost"], None),
        ("calls", "up", ["unit_cost", "cost"], "cost"),
        ("tasks_with_outcome", "down", ["cost"], "cost"),  # what it costs in all needs no outcome
        ("tasks_with_outcome", "up", ["cost"], "cost"),
        ("tasks_with_outcome", "up", ["unit_cost"], None),
        ("tasks_with_outcome", "up", ["zero_success"], None),
        ("tasks_with_outcome", "down", ["unit_cost"], None),
        ("tasks_with_outcome", "up", ["zero_success", "cost"], "cost"),
    ],
)
def test_a_loss_mutes_what_it_would_fake_and_no_more(
    field: str, direction: Direction, kinds: list[str], told: str | None
) -> None:
    lost = lose(field)
    assert lost.holds
    newest = lost.since + timedelta(days=LOST_DAYS - 1)
    breaks = [
        make_break(
            node="chat", direction=direction, kind=kind, onset=lost.since, last_day=newest, data_through=newest,
            excess_usd_per_day=Decimal((-200 if direction == "down" else 200) + n), excess_usd_total=Decimal(1000 - n),
        )
        for n, kind in enumerate(kinds)
    ]  # fmt: skip
    [action] = decide(breaks, [], now=NOW, as_of=newest, routing=ROUTING, mutes=find_mutes([lost]))
    if told is None:
        word = "telemetry" if field == "calls" else "outcomes"
        assert (action.kind, action.reason) == ("skip", f"it has lost its {word}")
    else:
        assert (action.kind, action.incident.kind) == ("open", told)


@pytest.mark.parametrize(
    ("name", "conditions"),
    [
        ("freshness", late(4, failure="aws: AccessDenied on <!channel>\nmore")),
        (
            "freshness-flat",
            find_stale_sources(
                [SourceDays("openai", 0, AS_OF - timedelta(days=1), AS_OF - timedelta(days=6), 60, 60)],
                as_of=AS_OF, late_days=3,
            ),
        ),
        ("budget", budget(0.92)),
        ("budget-over", budget(1.0, spent="12100")),
        (
            "coverage",
            find_untagged(
                [{"charge_date": AS_OF, "ai_tagged_usd": Decimal(40), "ai_unallocated_usd": Decimal(360)}],
                through=AS_OF, max_percent=Decimal(50), min_usd_per_day=Decimal(20), as_of=AS_OF,
            ),
        ),
    ],
)  # fmt: skip
def test_what_is_said(name: str, conditions: list[Condition]) -> None:
    [opened] = Days().run(conditions)
    card = render(opened, context=CONTEXT)
    days = Days()
    days.run(conditions)
    [closed] = days.run([replace(conditions[0], holds=False)])
    reply = render(closed, context=CONTEXT)
    answered = record_click(opened.incident, "expected", who="@maya", now=NOW)
    click = render_click(answered, answer="expected", who="@maya", key="k", context=CONTEXT)
    check_golden(
        f"open-{name}",
        {
            "text": to_text(card),
            "blocks": to_blocks(card, interactive=True),
            "terminal": to_plain_text(card).splitlines(),
            "resolve": [reply.title, reply.summary],
            "resolved card": [(after := render_card(closed.incident, context=CONTEXT)).title, after.summary],
            "accepted": [click.title, click.summary],
        },
    )
    assert "<!channel>" not in str(to_blocks(card))
