"""The card and the replies of an incident that is a condition: freshness, coverage, budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerts.figures import fit, format_day
from alerts.message.context import RenderContext
from alerts.message.sentences import NAME_LIMIT
from alerts.model import LIVE, Action, Fact, Incident, Message

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAID = {
    "acknowledged": "👀 Investigating",
    "snoozed": "💤 Snoozed",
    "escalated": "🔺 Escalated",
}


def render_condition_card(incident: Incident, *, key: str, mark: str, context: RenderContext) -> Message:
    """The first message of the thread, in its present state. `mark`: the severity's."""
    condition = _read(incident)
    title = str(condition["title"])
    by = f" by {fit(who, NAME_LIMIT)}" if (who := str(incident.details.get("feedback_by", ""))) else ""
    summary = str(condition["summary"])
    if incident.status == "resolved":
        head, summary = (
            "✅ Resolved",
            f"{incident.details.get('closing', '')} What was reported before: {summary}".strip(),
        )
    elif incident.status == "withdrawn":
        head, summary = "⚪ False alarm", f"Marked as a false alarm{by}. {summary}"
    elif incident.status == "absorbed":
        head, summary = "✅ Accepted", f"Accepted as expected{by}. {summary}"
    else:
        head = f"{mark} · {_SAID[incident.status]}" if incident.status in _SAID else mark
    facts = [Fact(label, text) for label, text in condition["facts"]]
    if incident.kind != "budget":  # of its month
        facts.append(Fact("Since", format_day(incident.onset, today=context.as_of)))
    return Message(
        idempotency_key=key,
        incident_id=incident.id,
        action="open",
        severity=incident.severity,
        channel=incident.channel,
        title=f"{head} · {title}",
        summary=summary,
        facts=tuple(facts),
        why=(),
        footnotes=(),
        owner=incident.owner,
        sql=str(condition["sql"]),
        onset=None,
        cure=str(condition["cure"]) if incident.status in LIVE else "",
        status=incident.status,
        kind=incident.kind,
        node=incident.node,
    )


def render_condition_reply(action: Action, *, key: str, mark: str) -> Message:
    """What the thread is told of an escalation, an update or the end."""
    incident = action.incident
    condition = _read(incident)
    if action.kind == "resolve":
        title, summary = f"✅ Resolved · {condition['title']}", str(incident.details.get("closing", ""))
    else:
        head = "🔺 Escalated" if action.kind == "escalate" else f"{mark} · update"
        title, summary = f"{head} · {condition['title']}", str(condition["summary"])
    is_over = action.kind == "resolve"
    return Message(
        idempotency_key=key,
        incident_id=incident.id,
        action=action.kind,
        severity=incident.severity,
        channel=incident.channel,
        title=title,
        summary=summary,
        facts=() if is_over else tuple(Fact(label, text) for label, text in condition["facts"]),
        why=(),
        footnotes=(),
        owner=incident.owner if action.kind == "escalate" else "",
        sql="",
        onset=None,
        cure="" if is_over else str(condition["cure"]),
        status=incident.status,
        kind=incident.kind,
        node=incident.node,
    )


def name_condition(incident: Incident) -> str:
    """Its title, as a reply to an answer names it."""
    return str(_read(incident)["title"])


def _read(incident: Incident) -> Mapping[str, Any]:
    condition: Mapping[str, Any] = incident.details["condition"]
    return condition
