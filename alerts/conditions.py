"""Incidents that are no break of a trend: a source that stops, coverage that is lost, a budget in danger.

    facts of the run ─ find_* ─▶ Condition ─ decide_conditions (with the ledger) ─▶ Action ─ the same outbox

A condition holds, does not hold, or is between (then nothing changes). Its incident lives in the same ledger
as a break's, answers to the same buttons, and is one thread per kind, node and episode:

    none, holds                 → open
    live, its level rose        → escalate
    live, does not hold         → resolve
    snoozed until a day         → skip until then
    accepted or closed by hand  → skip, until its level rises
    false alarm                 → skip for as long as it holds
    resolved, holds again       → update (the thread is reopened) within a week or, of a budget, within its month;
                                  else a new episode
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from alerts.model import CONDITION_KINDS, LIVE, Action, Incident, IncidentStatus, Severity
from alerts.routing import Routing

ConditionKind = Literal["freshness", "coverage", "budget"]
_REOPEN_DAYS = 7


@dataclass(frozen=True)
class Condition:
    """One condition as it is now. Texts are plain; money in them is US dollars.

    `node`: a feature, or the source it is about. `episode`: 0 where episodes are counted; a budget's month as
    year × 12 + month. `level`: grows as it gets graver. `title` without its severity mark. `holds`: None
    between opening and closing. `closing`: what is said when it is over. `lost`: what of a feature went missing.
    """

    kind: ConditionKind
    node: str
    since: date
    level: int
    severity: Severity
    title: str
    summary: str
    facts: tuple[tuple[str, str], ...] = ()
    cure: str = ""
    sql: str = ""
    holds: bool | None = True
    closing: str = ""
    episode: int = 0
    excess_usd: Decimal = Decimal(0)  # of a budget: what is expected over it
    lost: Literal["", "telemetry", "outcomes"] = ""


def make_condition_id(kind: ConditionKind, node: str, episode: int) -> str:
    digest = hashlib.sha256(json.dumps([kind, node, episode]).encode()).hexdigest()
    return f"inc-{digest[:12]}"


def is_condition(incident: Incident) -> bool:
    return incident.kind in CONDITION_KINDS


def decide_conditions(
    conditions: Iterable[Condition],
    ledger: Sequence[Incident],
    *,
    judged: Collection[ConditionKind],
    now: datetime,
    as_of: date,
    routing: Routing,
) -> list[Action]:
    """What to do with each condition and each incident of one, the gravest first.

    `ledger`: every incident ever saved. `judged`: the kinds that this run could judge: an incident of one of them
    whose condition is not among `conditions` at all is resolved, for what it was about is gone. Saving and
    deciding again gives nothing but skips.
    """
    known: dict[tuple[str, str], list[Incident]] = {}
    for incident in sorted(filter(is_condition, ledger), key=lambda incident: incident.episode):
        known.setdefault((incident.kind, incident.node), []).append(incident)
    actions: list[Action] = []
    seen: set[str] = set()
    for condition in conditions:
        episodes = known.get((condition.kind, condition.node), [])
        current = _find_episode(condition, episodes, as_of)
        if current is not None:
            seen.add(current.id)
            actions.append(_continue(current, condition, now, as_of))
        elif condition.holds:
            episode = condition.episode or max((incident.episode for incident in episodes), default=0) + 1
            actions.append(_open(condition, episode, routing, now))
    for incident in (one for episodes in known.values() for one in episodes):
        if incident.id not in seen and incident.status in LIVE and incident.kind in judged:
            actions.append(_resolve(incident, None, now))
    order: Mapping[Severity, int] = {"high": 0, "medium": 1, "low": 2}
    return sorted(actions, key=lambda a: (a.kind == "skip", order[a.incident.severity], a.incident.node, a.incident.id))


def _find_episode(condition: Condition, episodes: Sequence[Incident], as_of: date) -> Incident | None:
    if condition.episode:
        return next((one for one in episodes if one.episode == condition.episode), None)
    if not episodes:
        return None
    newest = episodes[-1]
    if newest.status != "resolved" or newest.details.get("feedback") == "resolve":
        # Closed by a person, it stays closed for as long as it holds without a pause.
        is_gone = newest.status not in LIVE and newest.details.get("cleared")
        return None if is_gone else newest
    closed = newest.resolved_at.date() if newest.resolved_at else newest.last_day
    return newest if (as_of - closed).days <= _REOPEN_DAYS else None


def _open(condition: Condition, episode: int, routing: Routing, now: datetime) -> Action:
    incident = Incident(
        id=make_condition_id(condition.kind, condition.node, episode),
        node=condition.node,
        direction="up",
        episode=episode,
        kind=condition.kind,
        label="unknown",
        severity=condition.severity,
        status="open",
        onset=condition.since,
        last_day=condition.since,
        opened_at=now,
        updated_at=now,
        resolved_at=None,
        excess_usd_per_day=Decimal(0),
        excess_usd_total=condition.excess_usd,
        excess_percent=Decimal(0),
        channel=routing.find_channel(condition.node),
        owner=routing.find_owner(condition.node),
    )
    return Action("open", _tell(incident, condition, now), condition.title)


def _refresh(incident: Incident, condition: Condition) -> Incident:
    details = {name: value for name, value in incident.details.items() if name != "cleared"}
    return replace(
        incident,
        severity=condition.severity,
        excess_usd_total=condition.excess_usd,
        details={**details, "condition": condition_to_json(condition)},
    )


def _tell(incident: Incident, condition: Condition, now: datetime) -> Incident:
    current = _refresh(incident, condition)
    revision = int(incident.details.get("revision", 0)) + 1
    return replace(
        current, updated_at=now, details={**current.details, "revision": revision, "told_level": condition.level}
    )


def _continue(incident: Incident, condition: Condition, now: datetime, as_of: date) -> Action:
    if condition.holds is False:
        if incident.status in LIVE:
            return _resolve(incident, condition, now)
        cleared = replace(incident, details={**incident.details, "cleared": True})
        return Action("skip", cleared, f"{incident.status} already")
    if condition.holds is None:
        return Action("skip", incident, "neither clearly there nor clearly over")
    level = int(incident.details.get("told_level", 0))
    if incident.details.get("feedback") == "false_alarm":
        return Action("skip", _refresh(incident, condition), "called a false alarm")
    if incident.status == "snoozed":
        until = date.fromisoformat(str(incident.details.get("snoozed_until", as_of.isoformat()))[:10])
        if as_of < until and condition.level <= level:
            return Action("skip", _refresh(incident, condition), f"snoozed until {until.isoformat()}")
        told = _tell(incident, condition, now)
        return Action("update", replace(told, status="open"), "the snooze is over, and it still holds")
    if condition.level > level:
        told = replace(_tell(incident, condition, now), status="escalated", resolved_at=None)
        return Action("escalate", told, condition.title)
    if incident.status == "resolved" and incident.details.get("feedback") != "resolve":
        told = replace(_tell(incident, condition, now), status="open", resolved_at=None)
        return Action("update", told, "it is back")
    return Action("skip", _refresh(incident, condition), "told already, and no graver")


def _resolve(incident: Incident, condition: Condition | None, now: datetime) -> Action:
    status: IncidentStatus = "resolved"
    stored = condition_from_json(incident.details["condition"])
    if condition is not None:  # of a feature's calls and outcomes, what the thread told of is what is back
        closing = (stored if stored.lost else condition).closing or "It is over."
    elif stored.kind == "budget":
        closing = f"The month is over. Last seen: {stored.summary}"
    else:
        closing = f"{stored.node} is not there any more."
    details = {
        **incident.details,
        "revision": int(incident.details.get("revision", 0)) + 1,
        "closing": closing,
        "cleared": True,
    }
    closed = replace(incident, status=status, updated_at=now, resolved_at=now, details=details)
    return Action("resolve", closed, closing)


def condition_to_json(condition: Condition) -> dict[str, Any]:
    """A Condition as JSON: dates ISO, money as text."""
    plain = {name: getattr(condition, name) for name in Condition.__dataclass_fields__}
    return {
        **plain,
        "since": condition.since.isoformat(),
        "facts": [list(fact) for fact in condition.facts],
        "excess_usd": str(condition.excess_usd),
    }


def condition_from_json(plain: Mapping[str, Any]) -> Condition:
    """The reverse of `condition_to_json`."""
    fields = dict(plain)
    fields["since"] = date.fromisoformat(plain["since"])
    fields["facts"] = tuple((label, text) for label, text in plain["facts"])
    fields["excess_usd"] = Decimal(plain["excess_usd"])
    return Condition(**fields)
