"""Answers from the terminal take the same way as those from Slack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from alerts.feedback import AnswerRefusedError, UnknownIncidentError, apply_answers, record_answer
from alerts.incidents import find_limit_factors, incident_from_row
from alerts.model import Incident
from tests.alerts.outbox.letters import open_store, run_day
from tests.alerts.stories import AS_OF, CONTEXT, make_break
from warehouse.state import StateStore

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = open_store(tmp_path)
    run_day(store, [make_break()])
    yield store
    store.close()


def incident_of(store: StateStore) -> Incident:
    [row] = store.list_incidents()
    return incident_from_row(row)


def answer(store: StateStore, kind: str, *, key: str = "terminal/1", until: date | None = None) -> bool:
    return record_answer(store, incident_of(store).id, kind, key=key, who="alex", now=NOW, snoozed_until=until)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("expected", "absorbed"),
        ("investigating", "acknowledged"),
        ("false_alarm", "withdrawn"),
        ("resolve", "resolved"),
        ("snooze", "snoozed"),
    ],
)
def test_an_answer_changes_the_incident_and_is_told_once(store: StateStore, kind: str, status: str) -> None:
    until = AS_OF + timedelta(days=7) if kind == "snooze" else None
    assert answer(store, kind, until=until)
    assert not answer(store, kind, until=until)
    [message] = apply_answers(store, context=CONTEXT, now=NOW)
    assert apply_answers(store, context=CONTEXT, now=NOW) == []
    assert incident_of(store).status == status
    assert "alex" in message.summary
    replies = [row for row in store.pending() if row["thread_of"]]
    assert [row["key"] for row in replies] == [message.idempotency_key]
    assert replies[0]["payload"]["card"]["status"] == status


def test_answers_are_applied_in_the_order_they_were_given(store: StateStore) -> None:
    answer(store, "investigating", key="1")
    record_answer(store, incident_of(store).id, "expected", key="2", who="maya", now=NOW + timedelta(seconds=1))
    assert len(apply_answers(store, context=CONTEXT, now=NOW)) == 2
    assert incident_of(store).status == "absorbed"
    assert incident_of(store).details["feedback_by"] == "maya"


def test_an_older_answer_that_is_checked_late_does_not_win_over_a_newer(store: StateStore) -> None:
    answer(store, "investigating", key="terminal")
    apply_answers(store, context=CONTEXT, now=NOW)
    clicked = NOW - timedelta(minutes=5)
    record_answer(store, incident_of(store).id, "expected", key="click/checked", who="maya", now=clicked)
    for _ in range(2):
        assert apply_answers(store, context=CONTEXT, now=NOW) == []
    assert incident_of(store).status == "acknowledged"
    assert incident_of(store).details["feedback_by"] == "alex"
    [event] = [row for row in store.list_events() if row["who"] == "maya"]
    assert event["text"] == "answered before alex did (investigating), which counts"


def test_an_unknown_incident_or_answer_is_refused(store: StateStore) -> None:
    with pytest.raises(UnknownIncidentError, match="trendbreak incidents list"):
        record_answer(store, "inc-0", "expected", key="k", who="alex", now=NOW)
    with pytest.raises(ValueError, match="unknown answer"):
        answer(store, "perhaps")
    assert store.list_feedback() == []


@pytest.mark.parametrize(("kind", "until"), [("investigating", None), ("snooze", AS_OF + timedelta(days=7))])
def test_what_is_over_is_not_opened_again_by_an_answer(store: StateStore, kind: str, until: date | None) -> None:
    answer(store, "resolve")
    apply_answers(store, context=CONTEXT, now=NOW)
    with pytest.raises(AnswerRefusedError, match=r"This is over \(resolved\)"):
        answer(store, kind, key="terminal/2", until=until)
    assert answer(store, "false_alarm", key="terminal/3")


def test_a_snooze_into_the_past_is_refused(store: StateStore) -> None:
    with pytest.raises(AnswerRefusedError, match="a day in the future, not 2026-11-22"):
        answer(store, "snooze", until=NOW.date())


def test_false_alarms_make_the_detector_less_sharp_for_a_while(store: StateStore) -> None:
    answer(store, "false_alarm")
    apply_answers(store, context=CONTEXT, now=NOW)
    incident = incident_of(store)
    assert find_limit_factors([incident], as_of=AS_OF) == {("support_chat", "cost", "up"): 1.25}
    many = [replace(incident, id=f"inc-{n}") for n in range(9)]
    assert find_limit_factors(many, as_of=AS_OF) == {("support_chat", "cost", "up"): 2.0}
    assert find_limit_factors([incident], as_of=AS_OF + timedelta(days=91)) == {}
    assert find_limit_factors([replace(incident, details={})], as_of=AS_OF) == {}
