"""The card of an incident, the replies in its thread, and their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from alerts.figures import fit, format_day, format_short_day, format_signed_percent, format_signed_usd, format_usd
from alerts.incidents import IncidentPolicy, break_from_json
from alerts.message.conditions import name_condition, render_condition_card, render_condition_reply
from alerts.message.context import RenderContext
from alerts.message.details import find_cure, list_changes, list_drivers, list_facts, list_footnotes, list_parts
from alerts.message.reproduce import make_sql
from alerts.message.sentences import (
    NAME_LIMIT,
    as_sentence,
    describe_span,
    lower_first,
    name_node,
    name_unit,
    summarise,
)
from alerts.model import CONDITION_KINDS, LIVE, Action, Break, Fact, Incident, Message, Severity

SEVERITY_MARKS: Mapping[Severity, str] = {"high": "🔴 High", "medium": "🟠 Medium", "low": "🟡 Low"}
_MOST_NODES = 5
_NO_PERCENT = Decimal("9999")  # what the detector says when there was next to nothing before


def make_key(incident: Incident, kind: str) -> str:
    """The idempotency key of what is told next: the same decision made twice gives the same key."""
    return f"{incident.id}/{int(incident.details.get('revision', 0))}/{kind}"


def make_card_key(incident_id: str) -> str:
    """The key of the message that opened the incident's thread."""
    return f"{incident_id}/1/open"


def render(action: Action, *, context: RenderContext) -> Message:
    """The message of one action. Raises ValueError for a skip: it has nothing to say."""
    if action.kind == "skip":
        raise ValueError(f"a skipped action has no message: {action.reason}")
    if action.incident.kind in CONDITION_KINDS and action.kind != "open":
        mark = SEVERITY_MARKS[action.incident.severity]
        return render_condition_reply(action, key=make_key(action.incident, action.kind), mark=mark)
    if action.kind == "open":
        return render_card(action.incident, action.found, context=context)
    return _render_reply(action, context)


def render_card(incident: Incident, found: Break | None = None, *, context: RenderContext) -> Message:
    """The first message of an incident's thread, in its present state; without `found`, as it was last seen."""
    if incident.kind in CONDITION_KINDS:
        mark = SEVERITY_MARKS[incident.severity]
        return render_condition_card(incident, key=make_card_key(incident.id), mark=mark, context=context)
    found = found or break_from_json(incident.details["break"])
    parts, members = list_parts(found, context), list_drivers(found)
    changes = list_changes(found, context.changes.get(incident.id, ()))
    return Message(
        idempotency_key=make_card_key(incident.id),
        incident_id=incident.id,
        action="open",
        severity=incident.severity,
        channel=incident.channel,
        title=_title(incident, found, context),
        summary=_status_sentence(incident, context) + summarise(found, context),
        facts=tuple(list_facts(incident, found, context)),
        why=tuple(parts or members),
        where=tuple(members if parts else ()),
        footnotes=tuple(list_footnotes(found, context)),
        owner=incident.owner,
        sql=make_sql(found),
        chart=found.chart,
        onset=found.onset,
        changes=tuple(changes),
        cure=find_cure(found, context, is_new_told=bool(changes)) if _is_advised(incident) else "",
        status=incident.status,
        last_day=None if found.is_active else found.last_day,
        kind=incident.kind,
        node=incident.node,
        links=context.worst_tasks.get(incident.id, ())[:3],
    )


def _is_advised(incident: Incident) -> bool:
    """Not once it is over; but what was over before it was told may come again."""
    return incident.status in LIVE or int(incident.details.get("revision", 0)) == 1


def _render_reply(action: Action, context: RenderContext) -> Message:
    incident = action.incident
    found = action.found or break_from_json(incident.details["break"])
    name, span = name_node(found.node), describe_span(found, context)
    facts: list[Fact] = []
    footnotes: list[str] = []
    why: list[str] = []
    cure = ""
    if action.kind == "resolve" and incident.status == "absorbed":
        title = f"✅ New level · {name}"
        summary = (
            f"{name} has stayed at {format_usd(found.actual_usd_per_day)} a day, so that is what is expected from now "
            f"on. You will hear of it again when it moves away from there."
        )
    elif action.kind == "resolve" and (told_at := incident.details.get("told_at")):
        title = f"✅ Told elsewhere · {name}"
        summary = f"What was reported here is told at {_name_nodes(told_at)} from now on."
    elif action.kind == "resolve":
        title = f"✅ Resolved · {name}"
        change = f"{format_usd(abs(found.excess_usd_total))} {'more' if found.excess_usd_total >= 0 else 'less'}"
        same = " for the same work" if found.kind == "unit_cost" else ""
        summary = f"{name} is back in its range. {span} it cost {change} than expected{same}."
    elif action.kind == "withdraw":
        title = f"↩️ Withdrawn · {name}"
        summary = (
            f"{_as_it_stands(incident)}, {name} was within its expected range {lower_first(span)}. "
            f"The {format_usd(abs(found.excess_usd_per_day))} a day reported here before no longer holds."
        )
    else:
        mark = "🔺 Escalated" if action.kind == "escalate" else f"{SEVERITY_MARKS[incident.severity]} · update"
        is_unit = found.kind in ("unit_cost", "zero_success")
        size = _figures(found, context) if is_unit else f"{format_signed_usd(found.excess_usd_per_day)}/day"
        title = f"{mark} · {name} {size}"
        summary = f"{as_sentence(action.reason)} {summarise(found, context)}"
        # The card above has the rest, in its newest state.
        facts = [fact for fact in list_facts(incident, found, context) if fact.label not in ("Since", "When", "Budget")]
        why = (list_parts(found, context) or list_drivers(found))[:3]
        footnotes = list_footnotes(found, context)
        changes = list_changes(found, context.changes.get(incident.id, ()))
        cure = find_cure(found, context, is_new_told=bool(changes))
    return Message(
        idempotency_key=make_key(incident, action.kind),
        incident_id=incident.id,
        action=action.kind,
        severity=incident.severity,
        channel=incident.channel,
        title=title,
        summary=summary,
        facts=tuple(facts),
        why=tuple(why),
        footnotes=tuple(footnotes),
        owner=incident.owner if action.kind == "escalate" else "",
        sql="",
        onset=found.onset,
        cure=cure,
        status=incident.status,
        kind=incident.kind,
        node=incident.node,
    )


def render_click(incident: Incident, *, answer: str, who: str, key: str, context: RenderContext) -> Message:
    """The reply that tells the thread of a person's answer. `key`: the answer's own, so that it is told once."""
    is_condition = incident.kind in CONDITION_KINDS
    name, by = name_condition(incident) if is_condition else name_node(incident.node), fit(who, NAME_LIMIT)
    worse = "it gets graver" if is_condition else f"it doubles, to {_twice(incident)}"
    less = "It is closed."
    if not is_condition:
        less = f"It is closed, and {name} is judged less sharply for a while. {_told_again_from(incident)}"
    until = str(incident.details.get("snoozed_until", ""))
    title, summary = {
        "expected": (f"✅ Accepted · {name}", f"{by} says this is expected: quiet from now on, unless {worse}."),
        "investigating": (f"👀 Investigating · {name}", f"{by} is looking into it. Only what is graver will be told."),
        "false_alarm": (
            f"⚪ False alarm · {name}",
            f"{by} says this is a false alarm. {less}",
        ),
        "resolve": (f"✅ Resolved · {name}", f"{by} has closed this. It will be told again if {worse}."),
        "snooze": (
            f"💤 Snoozed · {name}",
            f"{by} has snoozed this until {format_day(date.fromisoformat(until), today=context.as_of)}."
            if until
            else "",
        ),
    }[answer]
    return Message(
        idempotency_key=f"{incident.id}/{key}",
        incident_id=incident.id,
        action="update",
        severity=incident.severity,
        channel=incident.channel,
        title=title,
        summary=summary,
        facts=(),
        why=(),
        footnotes=(),
        owner="",
        sql="",
        onset=incident.onset,
        status=incident.status,
        kind=incident.kind,
        node=incident.node,
    )


def _title(incident: Incident, found: Break, context: RenderContext) -> str:
    name = name_node(found.node)
    if incident.status == "withdrawn":
        was_called_off = incident.details.get("feedback") == "false_alarm"
        return f"{'⚪ False alarm' if was_called_off else '↩️ Withdrawn'} · {name}"
    figures = _figures(found, context)
    if incident.status == "resolved" and int(incident.details.get("revision", 0)) == 1:
        # Over before it was first told: its gravity is the news, not its end.
        return f"{SEVERITY_MARKS[incident.severity]} · {name} {figures}, over since {_day_after(found)}"
    if incident.status == "resolved":
        word = "Told elsewhere" if "told_at" in incident.details else "Resolved"
        return f"✅ {word} · {name} {figures}"
    if incident.status == "absorbed":
        return f"✅ Accepted · {name} {figures}"
    marks = {"acknowledged": "👀 Investigating", "snoozed": "💤 Snoozed", "escalated": "🔺 Escalated"}
    mark = SEVERITY_MARKS[incident.severity]
    return f"{mark} · {marks[incident.status] + ' · ' if incident.status in marks else ''}{name} {figures}"


def _figures(found: Break, context: RenderContext) -> str:
    """The size of a break in a title: dollars a day of a cost, percent of a unit cost."""
    if found.kind == "zero_success":
        return "without a success"
    if found.kind == "unit_cost":
        return _percent(found, context)
    return f"{format_signed_usd(found.excess_usd_per_day)}/day ({_percent(found, context)})"


def _name_nodes(nodes: Sequence[str]) -> str:
    names = [name_node(node) for node in nodes[:_MOST_NODES]]
    more = [f"{len(nodes) - _MOST_NODES} more"] if len(nodes) > _MOST_NODES else []
    return ", ".join([*names, *more])


def _as_it_stands(incident: Incident) -> str:
    is_rules = incident.details.get("withdrawn_by") == "rules"
    return "With the rules of features.yml as they are now" if is_rules else "With the bill as it stands now"


def _day_after(found: Break) -> str:
    return format_short_day(found.last_day + timedelta(days=1))


def _percent(found: Break, context: RenderContext) -> str:
    if found.kind == "zero_success":
        return "no success"
    if found.kind == "unit_cost":
        return f"{format_signed_percent(found.excess_percent)} per {name_unit(found, context)}"
    if found.expected_usd_per_day < Decimal("0.005") or found.excess_percent >= _NO_PERCENT:
        return "new"
    return format_signed_percent(found.excess_percent)


def _status_sentence(incident: Incident, context: RenderContext) -> str:
    who = str(incident.details.get("feedback_by", ""))
    by = f" by {fit(who, NAME_LIMIT)}" if who else ""
    if incident.status == "resolved":
        told_at = incident.details.get("told_at")
        return (
            f"This is told at {_name_nodes(told_at)} now; what follows was reported before. "
            if told_at
            else "This is over. "
        )
    if incident.status == "withdrawn":
        if incident.details.get("feedback") == "false_alarm":
            return f"Marked as a false alarm{by}. {_told_again_from(incident)} "
        return f"{_as_it_stands(incident)} there is no break; what follows was reported before. "
    if incident.status == "absorbed":
        return f"Accepted as expected{by}. {_told_again_from(incident)} "
    if incident.status == "acknowledged":
        return f"Being investigated{by}. "
    if incident.status == "snoozed":
        until = str(incident.details.get("snoozed_until", ""))
        return f"Snoozed{by} until {format_day(date.fromisoformat(until), today=context.as_of)}. " if until else ""
    return ""


def _told_again_from(incident: Incident) -> str:
    """What an answer does not cover."""
    return f"Twice as much, {_twice(incident)} or more, is told here all the same."


def _twice(incident: Incident) -> str:
    """So much is told again, whatever was answered: `$824 a day`."""
    accepted = abs(Decimal(str(incident.details.get("accepted_usd_per_day", incident.excess_usd_per_day))))
    return f"{format_usd(accepted * IncidentPolicy.reaccept_factor)} a day"


def render_test(channel: str, *, sent_at: datetime) -> Message:
    """A message that tells nothing but that messages arrive. `sent_at` makes each one another."""
    return Message(
        idempotency_key=f"test/{sent_at.isoformat()}/{channel}",
        incident_id=f"test-{sent_at:%Y%m%dT%H%M%S}",
        action="open",
        severity="low",
        channel=channel,
        title="👋 Trendbreak can post here",
        summary="A test: the day a feature's cost breaks its trend, you will hear of it in this channel.",
        facts=(
            Fact("What you will see", "what happened, dollars a day, the expected range, why, and a chart"),
            Fact("How often", "once per incident; what follows goes into its thread"),
        ),
        why=(),
        footnotes=(f"Sent {sent_at:%Y-%m-%d %H:%M} UTC by trendbreak slack test.",),
        owner="",
        sql="",
        status="resolved",  # nobody has to answer for it
    )
