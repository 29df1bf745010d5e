"""What people answer, from Slack's buttons or the terminal: recorded first, then applied, then told.

The feedback table is the truth. An answer is applied to its incident until the incident says so itself
(`details["applied"]`): a process that dies in between, or a run that saves an older state of the
incident over it, costs nothing; the next call applies it again, and its reply has the same key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol

from alerts.incidents import ANSWERS, incident_from_row, incident_to_row, record_click
from alerts.message import RenderContext, render_card, render_click
from alerts.model import LIVE, Incident, Message
from alerts.outbox import IncidentStore, enqueue_message

DETECTED: frozenset[str] = frozenset({"cost", "unit_cost", "zero_success", "usage"})


class FeedbackStore(IncidentStore, Protocol):
    """What the state store does for answers."""

    def list_incidents(self) -> Sequence[Mapping[str, Any]]: ...

    def add_feedback(
        self,
        key: str,
        incident_id: str,
        kind: str,
        who: str,
        at: datetime,
        *,
        until: datetime | None = None,
        text: str = "",
    ) -> bool:
        """False, and nothing changes, where the key is there already."""
        ...

    def list_feedback(self, incident_id: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Oldest first."""
        ...


class UnknownIncidentError(LookupError):
    """No incident has this id."""


class AnswerRefusedError(ValueError):
    """An answer that changes nothing any more; the text is for whoever gave it."""


def record_answer(
    store: FeedbackStore,
    incident_id: str,
    answer: str,
    *,
    key: str,
    who: str,
    now: datetime,
    snoozed_until: date | None = None,
) -> bool:
    """Keep an answer. False when this `key` (one click, however often it is delivered) is known.

    Raises UnknownIncidentError; AnswerRefusedError for one that comes too late; ValueError for one that is none.
    """
    incident = next((row for row in store.list_incidents() if row["id"] == incident_id), None)
    if incident is None:
        raise UnknownIncidentError(f"no incident {incident_id}; `trendbreak incidents list` shows them")
    if incident["status"] not in LIVE and answer in ("investigating", "snooze"):
        raise AnswerRefusedError(f"This is over ({incident['status']}): there is nothing to investigate or to snooze.")
    if snoozed_until is not None and snoozed_until <= now.date():
        raise AnswerRefusedError(f"A snooze needs a day in the future, not {snoozed_until}.")
    record_click(incident_from_row(incident), answer, who=who, now=now, snoozed_until=snoozed_until)
    until = None if snoozed_until is None else datetime.combine(snoozed_until, time(), UTC)
    return store.add_feedback(key, incident_id, answer, who, now, until=until)


def apply_answers(store: FeedbackStore, *, context: RenderContext, now: datetime) -> list[Message]:
    """Bring the incidents up to the answers recorded; the replies enqueued for their threads.

    Call it before a run decides, and after `record_answer`. Doing it twice changes nothing. An answer that was given
    before one that is applied already (a click that waited for its check) stands in the incident's history only.
    """
    waiting: dict[str, list[Mapping[str, Any]]] = {}
    for row in store.list_feedback():
        waiting.setdefault(row["incident_id"], []).append(row)
    messages: list[Message] = []
    for stored in store.list_incidents():
        incident = incident_from_row(stored)
        applied = list(incident.details.get("applied", []))
        answers = [row for row in waiting.get(incident.id, []) if row["kind"] in ANSWERS]
        last = next((row for row in reversed(answers) if row["key"] in applied), None)
        for row in answers:
            if row["key"] in applied:
                continue
            if last is not None and row["at"] < last["at"]:
                applied.append(row["key"])
                incident = replace(incident, details={**incident.details, "applied": applied})
                store.save_incident(incident_to_row(incident))
                text = f"answered before {last['who']} did ({last['kind']}), which counts"
                store.add_event(incident.id, row["kind"], row["at"], row["who"], text)
                continue
            until: datetime | None = row["until"]
            incident = record_click(
                incident, row["kind"], who=row["who"], now=row["at"], snoozed_until=until.date() if until else None
            )
            applied.append(row["key"])
            incident = replace(incident, details={**incident.details, "applied": applied})
            messages.append(_tell(store, incident, row, context, now))
    return messages


def _tell(
    store: FeedbackStore, incident: Incident, row: Mapping[str, Any], context: RenderContext, now: datetime
) -> Message:
    key = hashlib.sha256(str(row["key"]).encode()).hexdigest()[:12]
    message = render_click(incident, answer=row["kind"], who=row["who"], key=key, context=context)
    enqueue_message(store, message, card=render_card(incident, context=context), now=now)
    store.save_incident(incident_to_row(incident))
    store.add_event(incident.id, row["kind"], row["at"], row["who"], message.summary)
    return message


def measure_precision(
    ledger: Sequence[Incident], feedback: Sequence[Mapping[str, Any]], *, now: datetime
) -> list[dict[str, Any]]:
    """Per week (its Monday) of the alerts told in it: told, confirmed, false_alarms, unanswered, precision.

    The last answer to an incident counts: a false alarm is one, every other answer confirms that there was something
    to tell. `precision` is confirmed / (confirmed + false alarms); None while nobody has answered.
    """
    answers: dict[str, str] = {}
    for row in sorted(feedback, key=lambda row: row["at"]):
        if row["kind"] in ANSWERS:
            answers[row["incident_id"]] = row["kind"]
    weeks: dict[date, list[str | None]] = {}
    for incident in ledger:
        if incident.kind not in DETECTED:
            continue  # a late source or a budget is no finding of the detector
        opened = incident.opened_at.astimezone(UTC).date()
        weeks.setdefault(opened - timedelta(days=opened.weekday()), []).append(answers.get(incident.id))
    rows = []
    for week, labels in sorted(weeks.items()):
        false_alarms, unanswered = labels.count("false_alarm"), labels.count(None)
        confirmed = len(labels) - false_alarms - unanswered
        answered = confirmed + false_alarms
        rows.append(
            {
                "week": week,
                "told": len(labels),
                "confirmed": confirmed,
                "false_alarms": false_alarms,
                "unanswered": unanswered,
                "precision": confirmed / answered if answered else None,
                "updated_at": now,
            }
        )
    return rows
