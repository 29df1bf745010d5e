"""Breaks and the ledger in, actions out. Pure: clock, day and rules are arguments.

One incident is one (node, direction, episode), and one Slack thread. An episode is a stretch of
days with a break, pauses of up to `episode_gap_days` included: a retry storm that rests for two
days and comes back is one story, told in one thread (which is reopened if it had been resolved).
A break that begins later than that is a new episode with a new thread.

    no incident, break              → open      (already over: opened as resolved, told once)
    open, escalated, acknowledged   → escalate  the excess crossed the next dollar step, or severity rose
                                    → update    the excess grew by a quarter, or its cause is another
                                    → resolve   back in range for `hysteresis_days`; or absorbed: the same
                                                new level for `absorb_days`
                                    → withdraw  the break is not in the data any more: the bill was restated,
                                                or the rules of features.yml changed
    snoozed                         → skip      until the day; then as open
    absorbed, or called false alarm → skip      (twice what was accepted or called so escalates)
    resolved, withdrawn             → update    when the same episode comes back: the thread is reopened (a later
                                                burst that is over when found is told as resolved, once; of several
                                                that come with one bill, each)
    resolved, bill restated         → withdraw  the break it told of never was
    its excess at another node now  → skip      the sum of all features or a part of it: nobody is told twice
                                                (alerts.shared_causes)
                                    → resolve   so much more or less of it that it is told there

The action's incident is the row to save, for a skip too (it carries the newest figures; what people
were told stays in `details["announced"]`). `details["revision"]` counts what was told: it makes the
idempotency key of a message, so that a run that died between two writes repeats itself exactly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from alerts.expectations import AcceptedLevel, name_metric
from alerts.figures import format_day, format_days, format_signed_percent, format_usd
from alerts.model import (
    CONDITION_KINDS,
    LIVE,
    Action,
    ActionKind,
    Break,
    ChartSeries,
    Direction,
    Driver,
    Evidence,
    Incident,
    IncidentKind,
    IncidentStatus,
    Part,
    Severity,
)
from alerts.mutes import Mute
from alerts.routing import Routing
from alerts.rule_moves import RuleMoves
from alerts.shared_causes import find_cover, key_of
from alerts.shared_causes import is_estimated as is_estimated

_FALSE_ALARM_DAYS = 90
_CALLED_OFF_ON = "called_false_alarm_on"  # in details: the day; it stays when the incident is told again
DIGEST_ONLY = "digest_only"  # in details: too small for a thread of its own
BY_RULES = ": no change of its cost"  # how the reason of such a skip ends
_ACCEPTED_DAYS = 180
_WEEK = 7
_MOST_ROUNDS = 3  # of deciding what a decision leads to
_ESTIMATE_PATIENCE = timedelta(days=2)
_SEVERITY_ORDER: Mapping[Severity, int] = {"high": 0, "medium": 1, "low": 2}


@dataclass(frozen=True)
class IncidentPolicy:
    """The numbers of the state machine; days are data days, dollars are US dollars."""

    hysteresis_days: int = 2  # days back in range before an incident is resolved
    episode_gap_days: int = 7  # a pause this long or shorter stays within the episode
    sight_days: int = 7  # a break that ended longer ago opens nothing; the detector reports all younger ones
    absorb_days: int = 28  # four whole weeks at the new level: it is the level now,
    absorb_quiet_days: int = 14  # if nothing material was told for so long
    growth_share: Decimal = Decimal("0.25")  # change of the excess per day that is worth a message
    shrink_share: Decimal = Decimal("0.50")
    least_change_usd_per_day: Decimal = Decimal("5")
    reaccept_factor: Decimal = Decimal("2")  # an accepted excess that grows by this factor is told again
    steps_usd: tuple[Decimal, ...] = tuple(
        Decimal(step) for step in (1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000)
    )
    high_usd_per_day: Decimal = Decimal("500")
    high_percent_usd_per_day: Decimal = Decimal("100")  # high from here on, if over `high_percent`
    high_percent: Decimal = Decimal("100")
    medium_usd_per_day: Decimal = Decimal("50")

    def find_severity(self, found: Break) -> Severity:
        """By dollars a day and percent; a fall in cost is news, not an emergency."""
        excess = abs(found.excess_usd_per_day)
        if found.direction == "down":
            return "medium" if excess >= self.high_usd_per_day else "low"
        if excess >= self.high_usd_per_day:
            return "high"
        if excess >= self.high_percent_usd_per_day and found.excess_percent >= self.high_percent:
            return "high"
        if excess >= self.medium_usd_per_day or found.kind == "zero_success":
            return "medium"
        return "low"

    def find_step(self, excess_usd_total: Decimal) -> Decimal:
        """The highest dollar step that the excess has reached; 0 below the first."""
        return max((step for step in self.steps_usd if abs(excess_usd_total) >= step), default=Decimal(0))


def make_incident_id(node: str, direction: Direction, episode: int) -> str:
    digest = hashlib.sha256(json.dumps([node, direction, episode]).encode()).hexdigest()
    return f"inc-{digest[:12]}"


def decide(
    breaks: Sequence[Break],
    ledger: Sequence[Incident],
    *,
    now: datetime,
    as_of: date,
    routing: Routing,
    policy: IncidentPolicy | None = None,
    data_through: date | None = None,
    node_through: Mapping[str, date] | None = None,
    rule_moves: Mapping[str, RuleMoves] | None = None,
    mutes: Mapping[str, Mute] | None = None,
) -> list[Action]:
    """What to do with each break of this run and each incident of the ledger.

    `breaks`: all that the detector finds in the data as it stands now, at least those that were
    over their limit within the last `policy.sight_days`. `ledger`: every incident ever saved.
    `now` stamps what changes; `as_of` is the day of the run; `data_through` the newest day that was
    looked at, `node_through` that of single nodes whose bill reaches less far or further (default: the breaks'
    own, without breaks `as_of`). `rule_moves`: what recent changes of features.yml moved, by node: an excess that
    came with them opens nothing, and what they end or change says so. `mutes`: nodes whose new breaks a loss of
    telemetry would fake: they are not opened. Incidents of conditions in the ledger are left alone.
    Returns at least one action per live incident and per break, the gravest first; those of one incident in the order
    in which they are to be saved. Saving the incidents and deciding again on the same breaks gives nothing but skips.

    What is decided of one incident can change what holds of another: one that ends no longer speaks for the break of a
    sum. That is decided in the same run, as long as nothing is told twice of one incident.
    """
    policy = policy or IncidentPolicy()
    decide_once = partial(
        _decide_once, breaks, now=now, as_of=as_of, routing=routing, policy=policy, data_through=data_through,
        node_through=node_through or {}, moves=rule_moves or {}, mutes=mutes or {},
    )  # fmt: skip
    before = {incident.id: incident for incident in ledger if incident.kind not in CONDITION_KINDS}
    actions = decide_once(list(before.values()))
    for _ in range(_MOST_ROUNDS):
        known = before | {action.incident.id: action.incident for action in actions if action.incident.episode > 0}
        told = {action.incident.id for action in actions if action.kind != "skip"}
        more = [one for one in decide_once(list(known.values())) if one.kind != "skip" and one.incident.id not in told]
        if not more:
            break
        actions = [action for action in actions if not any(_is_overtaken(action, one) for one in more)] + more
    return _sort(actions)


def _is_overtaken(action: Action, later: Action) -> bool:
    """Whether it let the same break or incident pass that there is something to tell of after all."""
    is_same_break = action.found is not None and later.found is not None and key_of(action.found) == key_of(later.found)
    return action.kind == "skip" and (action.incident.id == later.incident.id or is_same_break)


def _decide_once(
    breaks: Sequence[Break],
    ledger: Sequence[Incident],
    *,
    now: datetime,
    as_of: date,
    routing: Routing,
    policy: IncidentPolicy,
    data_through: date | None,
    node_through: Mapping[str, date],
    moves: Mapping[str, RuleMoves],
    mutes: Mapping[str, Mute],
) -> list[Action]:
    """`decide` by the ledger as it stands."""
    newest_day = data_through or max((found.data_through for found in breaks), default=as_of)
    incidents: dict[tuple[str, Direction], list[Incident]] = {}
    for incident in sorted(ledger, key=lambda incident: incident.episode):
        incidents.setdefault((incident.node, incident.direction), []).append(incident)

    cover = find_cover(breaks, ledger, growth_factor=policy.reaccept_factor)
    actions: list[Action] = []
    seen: set[str] = set()
    for key, episodes in _group_breaks(breaks, policy).items():
        known = incidents.get(key, [])
        continued: dict[str, list[Break]] = {}
        fresh: list[list[Break]] = []
        for episode_breaks in episodes:
            matching = _find_incident(episode_breaks, known, policy)
            if matching is None:
                fresh.append(episode_breaks)
            else:
                continued.setdefault(matching.id, []).extend(episode_breaks)
        for incident in known:
            if incident.id in continued:
                seen.add(incident.id)
                main = _pick(continued[incident.id], incident.kind)
                teller = cover.breaks.get(key_of(main))
                if teller is not None and incident.status == "resolved" and "told_at" in incident.details:
                    actions.append(Action("skip", incident, f"told already with {teller}", main))
                    continue
                bursts = _list_new_bursts(continued[incident.id], incident, policy)
                for found in bursts or [main]:
                    actions.append(_continue(incident, found, policy, routing, now, as_of, moves.get(key[0])))
                    incident = actions[-1].incident
        episode = max((incident.episode for incident in known), default=0)
        for episode_breaks in fresh:
            mute = mutes.get(key[0])
            heard = [found for found in episode_breaks if mute is None or not mute.covers(found)]
            bursts = _list_bursts(heard or episode_breaks, policy)
            opened: Incident | None = None
            for main in bursts:
                moved = moves.get(main.node)
                if opened is not None:
                    actions.append(_continue(opened, main, policy, routing, now, as_of, moved))
                    opened = actions[-1].incident
                    continue
                if (node_through.get(main.node, newest_day) - main.last_day).days > policy.sight_days:
                    actions.append(_skip_old(main, routing, policy, now))
                    continue
                if (teller := cover.breaks.get(key_of(main))) is not None:
                    folded = _make_incident(main, 0, routing, policy, now)
                    actions.append(Action("skip", folded, f"told already with {teller}", main))
                    continue
                if mute is not None and not heard:
                    muted = _make_incident(main, 0, routing, policy, now)
                    actions.append(Action("skip", muted, mute.reason, main))
                    continue
                if _is_moved_here(main, moved) and not _was_told_elsewhere(main, ledger, moves):
                    assert moved is not None
                    actions.append(_skip_moved(main, moved, routing, policy, now))
                    continue
                episode += 1
                opened = _make_incident(main, episode, routing, policy, now)
                if len(bursts) == 1:
                    opened = replace(opened, onset=min(found.onset for found in heard))
                actions.append(_open(opened, main, policy, now))
                opened = actions[-1].incident

    for incident in ledger:
        others = cover.incidents.get(incident.id)
        if others is not None and incident.id not in seen:
            seen.add(incident.id)
            if incident.status in LIVE:
                actions.append(_follow(incident, others, policy, now, as_of))
    told_nodes = {action.incident.node for action in actions if action.incident.episode > 0}
    for incident in ledger:
        newest = node_through.get(incident.node, newest_day)
        told_at = sorted({found.node for found in cover.news.get(incident.id, ())} & told_nodes)
        if incident.id not in seen and told_at and (not is_estimated(incident) or is_due(incident, newest)):
            if incident.status in LIVE:
                actions.append(_hand_over(incident, told_at, now))
            continue
        if incident.id not in seen and is_estimated(incident) and incident.status in LIVE:
            if is_due(incident, newest):
                actions.append(_withdraw_estimate(incident, newest, now, as_of))
            continue
        if incident.id in seen or incident.last_day > newest:
            continue  # nothing is known of days that this run does not see: a lagging source, an earlier as_of
        is_in_sight = (newest - incident.last_day).days <= policy.sight_days
        is_resolved = incident.status == "resolved" and incident.details.get("feedback") != "resolve"
        if is_in_sight and (incident.status in LIVE or is_resolved):
            actions.append(_withdraw(incident, now, as_of, moves.get(incident.node)))
        elif incident.status in LIVE:
            actions.append(_resolve_unseen(incident, now))
    return actions


def _group_breaks(breaks: Iterable[Break], policy: IncidentPolicy) -> dict[tuple[str, Direction], list[list[Break]]]:
    """Per node and direction, the breaks by episode: pauses longer than the gap divide them."""
    groups: dict[tuple[str, Direction], list[list[Break]]] = {}
    for found in sorted(breaks, key=lambda found: (found.onset, found.last_day)):
        episodes = groups.setdefault((found.node, found.direction), [])
        if episodes and _is_near([found], episodes[-1][0].onset, max(b.last_day for b in episodes[-1]), policy):
            episodes[-1].append(found)
        else:
            episodes.append([found])
    return groups


def _sort(actions: Sequence[Action]) -> list[Action]:
    """The gravest first; those of one incident together, in their order."""
    ranks: dict[str, tuple[bool, int, Decimal, str, str]] = {}
    for action in actions:
        ranks[action.incident.id] = min(_rank(action), ranks.get(action.incident.id, _rank(action)))
    return sorted(actions, key=lambda action: ranks[action.incident.id])


def _rank(action: Action) -> tuple[bool, int, Decimal, str, str]:
    incident = action.incident
    return (
        action.kind == "skip",
        _SEVERITY_ORDER[incident.severity],
        -abs(incident.excess_usd_per_day),
        incident.node,
        incident.id,
    )


def _pick(episode_breaks: Sequence[Break], told_kind: IncidentKind | None) -> Break:
    """The break that speaks for its episode: the one that lasts, then the kind that people know of, then dollars."""
    return max(
        episode_breaks,
        key=lambda found: (found.is_active, found.last_day, found.kind == told_kind, abs(found.excess_usd_total)),
    )


def _list_bursts(
    episode_breaks: Sequence[Break], policy: IncidentPolicy, told_kind: IncidentKind | None = None
) -> list[Break]:
    """The breaks that speak for an episode, one after the other: where all is over, one for each burst (between two of
    them it was back in its range for as long as resolves an incident); while it lasts, one."""
    main = _pick(episode_breaks, told_kind)
    if not _is_over(main, policy):
        return [main]
    groups: list[list[Break]] = []
    for found in sorted(episode_breaks, key=lambda found: found.onset):
        ended = max((one.last_day for one in groups[-1]), default=None) if groups else None
        if ended is not None and (found.onset - ended).days <= policy.hysteresis_days:
            groups[-1].append(found)
        else:
            groups.append([found])
    return [_pick(group, told_kind) for group in groups]


def _list_new_bursts(episode_breaks: Sequence[Break], incident: Incident, policy: IncidentPolicy) -> list[Break]:
    """Those that began after all that is known of a closed incident; empty unless they are several."""
    bursts = [found for found in _list_bursts(episode_breaks, policy, incident.kind) if found.onset > incident.last_day]
    return bursts if incident.status not in LIVE and len(bursts) > 1 else []


def _find_incident(
    episode_breaks: Sequence[Break], known: Sequence[Incident], policy: IncidentPolicy
) -> Incident | None:
    for incident in reversed(known):
        if _is_near(episode_breaks, incident.onset, incident.last_day, policy):
            return incident
    return None


def _is_near(episode_breaks: Sequence[Break], onset: date, last_day: date, policy: IncidentPolicy) -> bool:
    gap = timedelta(days=policy.episode_gap_days)
    return any(found.onset <= last_day + gap and found.last_day >= onset - gap for found in episode_breaks)


def _make_incident(found: Break, episode: int, routing: Routing, policy: IncidentPolicy, now: datetime) -> Incident:
    incident = Incident(
        id=make_incident_id(found.node, found.direction, episode),
        node=found.node,
        direction=found.direction,
        episode=episode,
        kind=found.kind,
        label=found.label,
        severity=policy.find_severity(found),
        status="open",
        onset=found.onset,
        last_day=found.last_day,
        opened_at=now,
        updated_at=now,
        resolved_at=None,
        excess_usd_per_day=found.excess_usd_per_day,
        excess_usd_total=found.excess_usd_total,
        excess_percent=found.excess_percent,
        channel=routing.find_channel(found.node),
        owner=routing.find_owner(found.node),
    )
    return replace(incident, details={"revision": 0, "break": break_to_json(found)})


def _skip_old(found: Break, routing: Routing, policy: IncidentPolicy, now: datetime) -> Action:
    # Not an incident and not to be saved: episode 0 never stands in the ledger.
    incident = _make_incident(found, 0, routing, policy, now)
    days = (found.data_through - found.last_day).days
    return Action("skip", incident, f"over for {format_days(days)}, and nobody was told while it lasted", found)


def _is_moved_here(found: Break, moved: RuleMoves | None) -> bool:
    return moved is not None and moved.explain(found.excess_usd_per_day, found.onset, found.last_day)


def _was_told_elsewhere(found: Break, ledger: Sequence[Incident], moves: Mapping[str, RuleMoves]) -> bool:
    """Whether the same excess was an incident of the nodes that the rules took it from: then it is real, and
    its new owner has not heard of it."""
    left = sum(
        (
            incident.excess_usd_per_day
            for incident in ledger
            if incident.status in LIVE
            and incident.node != found.node
            and incident.onset <= found.last_day
            and incident.node in moves
            and moves[incident.node].explain_end(incident.excess_usd_per_day, incident.onset, incident.last_day)
        ),
        Decimal(0),
    )
    return left / found.excess_usd_per_day >= Decimal("0.5")


def _skip_moved(found: Break, moved: RuleMoves, routing: Routing, policy: IncidentPolicy, now: datetime) -> Action:
    incident = _make_incident(found, 0, routing, policy, now)
    step = format_usd(abs(moved.measure_step(found.onset, found.last_day)))
    reason = f"the rules in features.yml changed on {moved.changed_on.isoformat()} and moved {step} a day"
    return Action("skip", incident, f"{reason}{BY_RULES}", found)


def _open(incident: Incident, found: Break, policy: IncidentPolicy, now: datetime) -> Action:
    reason = f"{format_signed_percent(found.excess_percent)} since {found.onset.isoformat()}"
    if _is_over(found, policy):
        over = _tell(replace(incident, status="resolved", resolved_at=now), found, policy, now)
        return Action("open", over, f"{reason}, over since {found.last_day.isoformat()}", found)
    return Action("open", _tell(incident, found, policy, now), reason, found)


def _is_over(found: Break, policy: IncidentPolicy, *, since: date | None = None) -> bool:
    """Back in range for as long as resolves it: `hysteresis_days` that tell something, and a whole week where an
    incident (of `since`) had several weekends, between which working days tell nothing."""
    days = (found.data_through - found.last_day).days
    told = days if found.days_in_range is None else found.days_in_range
    is_weekly = found.is_weekend_only and since is not None and (found.last_day - since).days >= _WEEK - 1
    return not found.is_active and told >= policy.hysteresis_days and (days >= _WEEK or not is_weekly)


def _tell(incident: Incident, found: Break, policy: IncidentPolicy, now: datetime) -> Incident:
    """The incident with this break as what people are told next."""
    current = _refresh(incident, found, policy)
    announced = {
        "excess_usd_per_day": str(found.excess_usd_per_day),
        "step_usd": str(policy.find_step(found.excess_usd_total)),
        "kind": found.kind,
        "label": found.label,
        "severity": current.severity,
    }
    details = {**current.details, "announced": announced, "revision": _revision(incident) + 1}
    return replace(current, updated_at=now, details=details)


def _refresh(incident: Incident, found: Break, policy: IncidentPolicy) -> Incident:
    """The newest figures, with nothing that anybody was told changed."""
    return replace(
        incident,
        kind=found.kind,
        label=found.label,
        severity=policy.find_severity(found),
        onset=min(incident.onset, found.onset),  # of the episode; the break that speaks for it may be younger
        last_day=found.last_day,
        excess_usd_per_day=found.excess_usd_per_day,
        excess_usd_total=found.excess_usd_total,
        excess_percent=found.excess_percent,
        details={**incident.details, "break": break_to_json(found)},
    )


def _revision(incident: Incident) -> int:
    return int(incident.details.get("revision", 0))


def _continue(
    incident: Incident,
    found: Break,
    policy: IncidentPolicy,
    routing: Routing,
    now: datetime,
    as_of: date,
    moved: RuleMoves | None,
) -> Action:
    incident = replace(incident, owner=routing.find_owner(incident.node))
    feedback = str(incident.details.get("feedback", ""))
    if incident.status == "absorbed" or feedback == "false_alarm":
        return _continue_accepted(incident, found, policy, now)
    is_billed = is_estimated(incident) and found.basis == "reported" and incident.status in LIVE
    if is_billed and found.last_day < incident.onset:  # only an older break, which says nothing of the estimate
        return Action("skip", incident, "estimated, and the bill has not come so far", found)
    if is_billed:
        incident = _keep_estimate(incident)
    if incident.status in ("resolved", "withdrawn"):
        return _continue_closed(incident, found, policy, now, moved)
    if incident.status == "snoozed":
        until = _snoozed_until(incident)
        if until is not None and as_of < until:
            reason = f"snoozed until {until.isoformat()}"
            return Action("skip", _refresh(incident, found, policy), reason, found)
        details = {key: value for key, value in incident.details.items() if key != "snoozed_until"}
        incident = replace(incident, status="open", details=details)
        if not _is_over(found, policy, since=incident.onset) and not is_billed:
            return Action("update", _tell(incident, found, policy, now), "the snooze is over, the break is not", found)
    if is_billed:
        return _confirm(incident, found, policy, now)
    if _is_over(found, policy, since=incident.onset):
        told = _tell(incident, found, policy, now)
        reason = f"back in its range since {(found.last_day + timedelta(days=1)).isoformat()}"
        return Action("resolve", replace(told, status="resolved", resolved_at=now), reason, found)
    return _continue_live(incident, found, policy, now, moved)


def _continue_live(
    incident: Incident, found: Break, policy: IncidentPolicy, now: datetime, moved: RuleMoves | None
) -> Action:
    told = incident.details.get("announced", {})
    told_excess = Decimal(str(told.get("excess_usd_per_day", "0")))
    step, told_step = policy.find_step(found.excess_usd_total), Decimal(str(told.get("step_usd", "0")))
    current = _refresh(incident, found, policy)
    change = abs(found.excess_usd_per_day) - abs(told_excess)
    is_large = abs(change) >= policy.least_change_usd_per_day
    before, after = format_usd(abs(told_excess)), format_usd(abs(found.excess_usd_per_day))

    kind: ActionKind = "update"
    signed = found.excess_usd_per_day - told_excess
    if is_large and _came_with_rules(signed, incident, found, moved):
        word = "grew" if change > 0 else "fell"
        reason = f"the rules in features.yml changed: with them the excess {word} from {before} to {after} a day"
        return Action("update", _tell(incident, found, policy, now), reason, found)
    if step > told_step and found.is_active:
        kind, reason = "escalate", f"the excess has passed {format_usd(step)}"
    elif _SEVERITY_ORDER[current.severity] < _SEVERITY_ORDER[told.get("severity", current.severity)]:
        kind, reason = "escalate", f"severity rose to {current.severity}"
    elif incident.status == "acknowledged":
        return Action("skip", current, "somebody is looking into it, and it has not got graver", found)
    elif is_large and change >= abs(told_excess) * policy.growth_share:
        reason = f"the excess grew from {before} to {after} a day"
    elif is_large and -change >= abs(told_excess) * policy.shrink_share:
        reason = f"the excess fell from {before} to {after} a day"
    elif _tells_another_story(found, told):
        reason = "the explanation changed"
    elif found.is_active and _is_settled_level(incident, found, policy, now):
        absorbed = replace(_tell(incident, found, policy, now), status="absorbed", resolved_at=now)
        accepted = {**absorbed.details, "accepted_usd_per_day": str(found.excess_usd_per_day)}
        reason = f"at the new level for {format_days(policy.absorb_days)}: taken as the level to expect"
        return Action("resolve", replace(absorbed, details=accepted), reason, found)
    elif not found.is_active:
        return Action("skip", current, "back in its range, not yet for long enough", found)
    else:
        return Action("skip", current, "told already, nothing material changed", found)
    status: IncidentStatus = "escalated" if kind == "escalate" else incident.status
    return Action(kind, replace(_tell(incident, found, policy, now), status=status), reason, found)


def _came_with_rules(change_usd_per_day: Decimal, incident: Incident, found: Break, moved: RuleMoves | None) -> bool:
    """Whether at least half of the change since the incident was last told came with rules that changed since."""
    if moved is None or moved.changed_on < incident.updated_at.date() or change_usd_per_day == 0:
        return False
    return moved.measure_level(found.onset, found.last_day) / change_usd_per_day >= Decimal("0.5")


def _confirm(incident: Incident, found: Break, policy: IncidentPolicy, now: datetime) -> Action:
    """The bill has come, and tells of the same break."""
    estimated, billed = format_usd(incident.excess_usd_total), format_usd(found.excess_usd_total)
    told = _tell(incident, found, policy, now)
    reason = f"the bill confirms it: {billed} over the expected so far, {estimated} had been estimated"
    if _is_over(found, policy, since=incident.onset):
        return Action("resolve", replace(told, status="resolved", resolved_at=now), f"{reason}; it is over", found)
    return Action("update", told, reason, found)


def _keep_estimate(incident: Incident) -> Incident:
    """What was estimated stays beside what is billed: the bill is held to it for as long as it may be restated."""
    estimate = {
        "onset": incident.onset.isoformat(),
        "last_day": incident.last_day.isoformat(),
        "excess_usd_total": str(incident.excess_usd_total),
    }
    return replace(incident, details={**incident.details, "estimate": estimate})


def _tells_another_story(found: Break, told: Mapping[str, Any]) -> bool:
    """Another cause, or no success any more. Cost or unit cost, whichever has more dollars, is the same story."""
    kinds = {found.kind, told.get("kind", found.kind)}
    return found.label != told.get("label", found.label) or (len(kinds) > 1 and "zero_success" in kinds)


def _is_settled_level(incident: Incident, found: Break, policy: IncidentPolicy, now: datetime) -> bool:
    days = (found.data_through - found.onset).days + 1
    return days >= policy.absorb_days and (now - incident.updated_at).days >= policy.absorb_quiet_days


def _continue_accepted(incident: Incident, found: Break, policy: IncidentPolicy, now: datetime) -> Action:
    """An answer, or time, has made it the level to expect: quiet until it is so many times as large."""
    told = incident.details.get("announced", {}).get("excess_usd_per_day", incident.excess_usd_per_day)
    accepted = abs(Decimal(str(incident.details.get("accepted_usd_per_day", told))))
    is_false_alarm = incident.details.get("feedback") == "false_alarm"
    is_another = _is_another_burst(incident, found, policy)
    grown = abs(found.excess_usd_per_day) >= accepted * policy.reaccept_factor
    if (found.is_active or is_another) and grown and accepted > 0:
        details = {key: value for key, value in incident.details.items() if key != "feedback"}
        escalated = _tell(replace(incident, details=details, status="escalated", resolved_at=None), found, policy, now)
        word = "called a false alarm" if is_false_alarm else "accepted"
        reason = f"{format_usd(accepted)} a day was {word}, now it is {format_usd(abs(found.excess_usd_per_day))}"
        return _tell_again("escalate", escalated, reason, found, policy, now)
    if is_false_alarm:
        # Another burst is let pass, but its days are none of the false alarm's: what follows is judged by itself.
        kept = incident if is_another else _refresh(incident, found, policy)
        return Action("skip", kept, "called a false alarm", found)
    return Action("skip", _refresh(incident, found, policy), f"{incident.status} by hand or by time", found)


def _is_another_burst(incident: Incident, found: Break, policy: IncidentPolicy) -> bool:
    """It began after the days that the incident knows, and did not end longer ago than anything is told."""
    return found.onset > incident.last_day and (found.data_through - found.last_day).days <= policy.sight_days


def _continue_closed(
    incident: Incident, found: Break, policy: IncidentPolicy, now: datetime, moved: RuleMoves | None
) -> Action:
    if incident.details.get("feedback") == "resolve":
        return _continue_accepted(incident, found, policy, now)
    is_another = _is_another_burst(incident, found, policy)
    if not found.is_active and not is_another:
        return Action("skip", incident, f"{incident.status} already", found)
    told_at = incident.details.get("told_at")
    details = {name: value for name, value in incident.details.items() if name != "told_at"}
    told = _tell(replace(incident, details=details), found, policy, now)
    reopened = replace(told, status="open", resolved_at=None)
    if told_at and incident.status == "resolved":
        reason = f"it is more than what is told at {', '.join(told_at)}"
    elif incident.status == "withdrawn" and is_another:
        reason = f"another break since {found.onset.isoformat()}"
    elif incident.status == "withdrawn" and moved is not None:
        reason = "the rules in features.yml changed again, and the break is back"
    elif incident.status == "withdrawn":
        reason = "the bill was restated again, and the break is back"
    else:
        reason = f"back after the pause that began {(incident.last_day + timedelta(days=1)).isoformat()}"
    return _tell_again("update", reopened, reason, found, policy, now)


def _tell_again(
    kind: ActionKind, incident: Incident, reason: str, found: Break, policy: IncidentPolicy, now: datetime
) -> Action:
    if not _is_over(found, policy, since=incident.onset):
        return Action(kind, incident, reason, found)
    over = replace(incident, status="resolved", resolved_at=now)
    return Action(kind, over, f"{reason}, over since {(found.last_day + timedelta(days=1)).isoformat()}", found)


def _close(incident: Incident, status: IncidentStatus, now: datetime, **why: Any) -> Incident:
    """`why`: `withdrawn_by` or `told_at`, for the message to say."""
    details = {name: value for name, value in incident.details.items() if name not in ("withdrawn_by", "told_at")}
    details = {**details, **why, "revision": _revision(incident) + 1}
    return replace(incident, status=status, updated_at=now, resolved_at=now, details=details)


def _withdraw(incident: Incident, now: datetime, as_of: date, moved: RuleMoves | None) -> Action:
    """The detector sees the days of this break and does not find it there any more."""
    if moved is not None and moved.explain_end(incident.excess_usd_per_day, incident.onset, incident.last_day):
        day = format_day(moved.changed_on, today=as_of)
        reason = f"the rules in features.yml changed on {day}: what it told of does not belong to this feature"
        return Action("withdraw", _close(incident, "withdrawn", now, withdrawn_by="rules"), reason, None)
    reason = f"the data as it stands now has no break on {format_day(incident.last_day, today=as_of)}"
    return Action("withdraw", _close(incident, "withdrawn", now), reason, None)


def is_due(incident: Incident, through: date) -> bool:
    """Whether the bill has come far enough to have the last word on an estimated incident: to its last day, or two
    days into it."""
    return through >= min(incident.last_day, incident.onset + _ESTIMATE_PATIENCE)


def _withdraw_estimate(incident: Incident, through: date, now: datetime, as_of: date) -> Action:
    reason = f"the bill through {format_day(through, today=as_of)} shows no such excess"
    return Action("withdraw", _close(incident, "withdrawn", now), reason, None)


def _follow(incident: Incident, others: Sequence[Break], policy: IncidentPolicy, now: datetime, as_of: date) -> Action:
    """Its excess is found at another node now: it lasts as long as that does, and nobody is told twice."""
    last_day = max(incident.last_day, *(found.last_day for found in others))
    incident = replace(incident, last_day=last_day)
    if all(_is_over(found, policy, since=incident.onset) for found in others):
        reason = f"back in its range since {(last_day + timedelta(days=1)).isoformat()}"
        return Action("resolve", _close(incident, "resolved", now), reason, None)
    names = ", ".join(sorted({found.node for found in others}))
    until = _snoozed_until(incident)
    if incident.status == "snoozed" and (until is None or as_of >= until):
        details = {name: value for name, value in incident.details.items() if name != "snoozed_until"}
        details["revision"] = _revision(incident) + 1
        woken = replace(incident, status="open", updated_at=now, details=details)
        return Action("update", woken, f"the snooze is over, and the excess is found at {names} now", None)
    return Action("skip", incident, f"the same excess is found at {names} now", None)


def _hand_over(incident: Incident, told_at: Sequence[str], now: datetime) -> Action:
    """So much more or less of it is found at other nodes now that it is told there."""
    reason = f"now told with {', '.join(told_at)}"
    return Action("resolve", _close(incident, "resolved", now, told_at=list(told_at)), reason, None)


def _resolve_unseen(incident: Incident, now: datetime) -> Action:
    """The break ended while nobody looked, longer ago than the detector reports."""
    reason = f"not over its limit any more since {incident.last_day.isoformat()}"
    return Action("resolve", _close(incident, "resolved", now), reason, None)


def _snoozed_until(incident: Incident) -> date | None:
    until = incident.details.get("snoozed_until")
    return date.fromisoformat(str(until)[:10]) if until else None


def break_to_json(found: Break) -> dict[str, Any]:
    """A Break as JSON: dates ISO, money as text. The chart is left out, it is drawn again from the data."""
    plain = asdict(replace(found, chart=None))
    del plain["chart"]
    as_json: dict[str, Any] = json.loads(json.dumps(plain, default=_to_text))
    return as_json


def _to_text(figure: object) -> str:
    return figure.isoformat() if isinstance(figure, date) else str(figure)


def break_from_json(plain: Mapping[str, Any], chart: ChartSeries | None = None) -> Break:
    """The reverse of `break_to_json`."""
    figures = dict(plain)
    for name in ("onset", "last_day", "data_through"):
        figures[name] = date.fromisoformat(figures[name])
    for name, figure in figures.items():
        if name.endswith(("_per_day", "_total", "_percent")) and figure is not None:
            figures[name] = Decimal(figure)
    figures["parts"] = tuple(
        Part(row["driver"], Decimal(row["change_usd" if "change_usd" in row else "change_usd_per_day"]))
        for row in figures.get("parts", ())
    )
    figures["evidence"] = tuple(
        Evidence(
            metric=row["metric"],
            unit=row["unit"],
            actual=Decimal(row["actual"]),
            expected=Decimal(row["expected"]),
            lower=None if row["lower"] is None else Decimal(row["lower"]),
            upper=None if row["upper"] is None else Decimal(row["upper"]),
        )
        for row in figures["evidence"]
    )
    figures["drivers"] = tuple(
        Driver(
            dimension=row["dimension"],
            member=row["member"],
            excess_usd_per_day=Decimal(row["excess_usd_per_day"]),
            is_new=row["is_new"],
            first_seen=None if row["first_seen"] is None else date.fromisoformat(row["first_seen"]),
            members=row.get("members", 1),
            replaced=row.get("replaced", 0),
        )
        for row in figures["drivers"]
    )
    return Break(**figures, chart=chart)


def incident_to_row(incident: Incident) -> dict[str, Any]:
    """The fields of an incident by name, as the state store keeps them."""
    return {name: getattr(incident, name) for name in Incident.__dataclass_fields__}


def incident_from_row(row: Mapping[str, Any]) -> Incident:
    """An incident from the state store's row; dates and money may be text there."""
    fields = {name: row[name] for name in Incident.__dataclass_fields__}
    for name in ("onset", "last_day"):
        fields[name] = _read_date(fields[name])
    for name in ("opened_at", "updated_at", "resolved_at"):
        moment = fields[name]
        fields[name] = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    for name in ("excess_usd_per_day", "excess_usd_total", "excess_percent"):
        fields[name] = Decimal(str(fields[name]))
    details = fields["details"]
    fields["details"] = json.loads(details) if isinstance(details, str) else dict(details or {})
    return Incident(**fields)


def _read_date(day: date | datetime | str) -> date:
    if isinstance(day, str):
        return date.fromisoformat(day[:10])
    return day.date() if isinstance(day, datetime) else day


ANSWERS = ("expected", "investigating", "false_alarm", "resolve", "snooze")


def record_click(
    incident: Incident, click: str, *, who: str, now: datetime, snoozed_until: date | None = None
) -> Incident:
    """The incident after a person's answer: `expected`, `investigating`, `false_alarm`, `resolve`, `snooze`.

    Raises ValueError for another word, and for a snooze without its last day.
    """
    if click not in ANSWERS:
        raise ValueError(f"unknown answer {click!r}; known: {', '.join(ANSWERS)}")
    if click == "snooze" and snoozed_until is None:
        raise ValueError("a snooze needs the day it ends")
    details: dict[str, Any] = {
        **{name: value for name, value in incident.details.items() if name not in ("snoozed_until", _CALLED_OFF_ON)},
        "feedback": click,
        "feedback_by": who,
        "revision": _revision(incident) + 1,
    }
    statuses: Mapping[str, IncidentStatus] = {
        "expected": "absorbed",
        "investigating": "acknowledged",
        "false_alarm": "withdrawn",
        "resolve": "resolved",
        "snooze": "snoozed",
    }
    if click == "false_alarm":
        details[_CALLED_OFF_ON] = now.date().isoformat()
    if click in ("expected", "resolve", "false_alarm"):
        details["accepted_usd_per_day"] = str(incident.excess_usd_per_day)
    if snoozed_until is not None and click == "snooze":
        details["snoozed_until"] = snoozed_until.isoformat()
    resolved_at = now if click in ("expected", "false_alarm", "resolve") else incident.resolved_at
    return replace(incident, status=statuses[click], resolved_at=resolved_at, updated_at=now, details=details)


def find_limit_factors(ledger: Iterable[Incident], *, as_of: date) -> dict[tuple[str, str, str], float]:
    """(node, metric, direction) → factor on that limit of the detector: a quarter more per false alarm of the last
    90 days, at most double."""
    factors: dict[tuple[str, str, str], float] = {}
    for incident in ledger:
        if incident.kind in CONDITION_KINDS:
            continue
        called_on = incident.details.get(_CALLED_OFF_ON)
        if called_on is not None and (as_of - date.fromisoformat(called_on)).days <= _FALSE_ALARM_DAYS:
            key = (incident.node, name_metric(incident.kind), incident.direction)
            factors[key] = min(factors.get(key, 1.0) * 1.25, 2.0)
    return factors


def find_accepted_levels(ledger: Iterable[Incident], *, as_of: date) -> dict[str, list[AcceptedLevel]]:
    """Node → the breaks that somebody called expected within the last 180 days."""
    accepted: dict[str, list[AcceptedLevel]] = {}
    for incident in ledger:
        told = incident.details.get("break", {})
        is_recent = (as_of - incident.updated_at.date()).days <= _ACCEPTED_DAYS
        if incident.details.get("feedback") == "expected" and is_recent and "expected_usd_per_day" in told:
            excess = Decimal(str(incident.details.get("accepted_usd_per_day", incident.excess_usd_per_day)))
            level = AcceptedLevel(
                onset=incident.onset,
                direction=incident.direction,
                metric=name_metric(incident.kind),
                expected_usd_per_day=Decimal(str(told["expected_usd_per_day"])),
                excess_usd_per_day=excess,
            )
            accepted.setdefault(incident.node, []).append(level)
    return accepted
