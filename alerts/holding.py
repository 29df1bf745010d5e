"""Which new threads wait: for the end of the quiet hours, and for a day with room under the daily limit.

    hold_threads    the incidents whose rows of the outbox are left alone in this pass; what the limit holds back is
                    named in one roll-up message per channel and day, each incident once
    find_held       the same without writing anything

Only messages that open an incident's thread wait (with what follows them); replies in threads that are open go
out at any time. A row that may have been sent already (`sending`) is never held: somebody has to ask for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from alerts.figures import format_signed_usd
from alerts.incidents import incident_from_row
from alerts.message import make_card_key, message_to_json
from alerts.model import Incident, Message, Section, Severity

if TYPE_CHECKING:
    from alerts.outbox import IncidentStore

_GRAVITY: Mapping[str, int] = {"high": 0, "medium": 1, "low": 2}
_ROLL_UP = "rollup"
_MOST_LINES = 20


@dataclass(frozen=True)
class QuietHours:
    """From `start` to `end` by the clock of `timezone`, over midnight where `end` is the earlier one."""

    start: time
    end: time
    timezone: str = "UTC"
    high_passes: bool = True  # what is of high severity does not wait

    def cover(self, moment: datetime) -> bool:
        clock = moment.astimezone(ZoneInfo(self.timezone)).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True)
class PostingRules:
    """`daily_messages`: new threads per channel and day (of the quiet hours' time zone, else of UTC); None: all."""

    quiet_hours: QuietHours | None = None
    daily_messages: int | None = None

    @property
    def day_zone(self) -> tzinfo:
        return UTC if self.quiet_hours is None else ZoneInfo(self.quiet_hours.timezone)


@dataclass(frozen=True)
class Held:
    """Why an incident's messages wait."""

    incident_id: str
    channel: str
    reason: str
    is_over_limit: bool = False


def hold_threads(store: IncidentStore, rules: PostingRules, *, now: datetime) -> dict[str, Held]:
    """By incident id, what waits now; enqueues the roll-up of what the daily limit holds back and nobody has named yet.

    Doing it twice changes nothing.
    """
    rows, incidents = store.outbox(), _read_ledger(store)
    held = find_held(rows, incidents, rules, now=now)
    named = {name for row in rows for name in row["payload"].get("names", ())}
    today = now.astimezone(rules.day_zone).date()
    channels: dict[str, list[str]] = {}
    for one in held.values():
        if one.is_over_limit and one.incident_id not in named:
            channels.setdefault(one.channel, []).append(one.incident_id)
    opening = {row["incident_id"]: row for row in rows if _opens_thread(row)}
    for channel, ids in channels.items():
        letters = [(incidents[name], opening[name]["payload"]["message"]) for name in ids]
        _enqueue_roll_up(store, rows, channel, letters, rules, today=today, now=now)
    return held


def find_held(
    rows: Sequence[Mapping[str, Any]], incidents: Mapping[str, Incident], rules: PostingRules, *, now: datetime
) -> dict[str, Held]:
    """By incident id. `rows`: the outbox, in its order; `incidents`: the ledger by id (messages that are about no
    incident of it, such as the digest, never wait)."""
    gravity = _find_gravity(rows)
    is_quiet = rules.quiet_hours is not None and rules.quiet_hours.cover(now)
    today = now.astimezone(rules.day_zone).date()
    held: dict[str, Held] = {}
    taken: dict[str, int] = {}
    waiting: dict[str, list[str]] = {}
    for row in rows:
        incident_id, channel = row["incident_id"], row["channel"]
        if not _opens_thread(row) or incident_id not in incidents:
            continue
        if row["status"] in ("sent", "sending"):
            at = row["sent_at"] if row["status"] == "sent" else now
            taken[channel] = taken.get(channel, 0) + (at.astimezone(rules.day_zone).date() == today)
            continue
        passes = rules.quiet_hours is not None and rules.quiet_hours.high_passes and gravity[incident_id] == 0
        if is_quiet and not passes and rules.quiet_hours is not None:
            until = f"until {rules.quiet_hours.end:%H:%M} ({rules.quiet_hours.timezone})"
            held[incident_id] = Held(incident_id, channel, f"quiet hours {until}")
        else:
            waiting.setdefault(channel, []).append(incident_id)
    if rules.daily_messages is None:
        return held
    for channel, ids in waiting.items():
        room = max(rules.daily_messages - taken.get(channel, 0), 0)
        for incident_id in sorted(ids, key=lambda one: gravity[one])[room:]:  # stable: the older first
            reason = f"{channel} has had its {rules.daily_messages} new threads of the day"
            held[incident_id] = Held(incident_id, channel, reason, is_over_limit=True)
    return held


def _read_ledger(store: IncidentStore) -> dict[str, Incident]:
    return {row["id"]: incident_from_row(row) for row in store.list_incidents()}


def _opens_thread(row: Mapping[str, Any]) -> bool:
    return bool(row["key"] == make_card_key(row["incident_id"]) and not row["thread_of"])


def _find_gravity(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The gravest of what waits, by incident: one that escalated while it waited is as grave as its escalation."""
    found: dict[str, int] = {}
    for row in rows:
        if row["status"] != "sent":
            gravity = _GRAVITY[row["payload"]["message"]["severity"]]
            found[row["incident_id"]] = min(found.get(row["incident_id"], gravity), gravity)
    return found


def _enqueue_roll_up(
    store: IncidentStore,
    rows: Iterable[Mapping[str, Any]],
    channel: str,
    letters: Sequence[tuple[Incident, Mapping[str, Any]]],
    rules: PostingRules,
    *,
    today: date,
    now: datetime,
) -> None:
    # Names of channels may differ in what no id holds.
    slug = re.sub(r"[^a-z0-9]+", "-", channel.lower()).strip("-") or "channel"
    incident_id = f"{_ROLL_UP}-{today.isoformat()}-{slug}-{hashlib.sha256(channel.encode()).hexdigest()[:6]}"
    told = sum(row["incident_id"] == incident_id for row in rows)
    key = make_card_key(incident_id) if told == 0 else f"{incident_id}/{told + 1}/update"
    message = _render_roll_up(key, incident_id, channel, letters, limit=rules.daily_messages or 0, is_first=told == 0)
    store.enqueue(
        key=key,
        incident_id=incident_id,
        channel=channel,
        thread_of=None if told == 0 else make_card_key(incident_id),
        kind=message.action,
        payload={"message": message_to_json(message), "card": None, "names": [one.id for one, _ in letters]},
        created_at=now,
    )


def _render_roll_up(
    key: str,
    incident_id: str,
    channel: str,
    letters: Sequence[tuple[Incident, Mapping[str, Any]]],
    *,
    limit: int,
    is_first: bool,
) -> Message:
    lines = [_line(incident, str(message["title"])) for incident, message in letters]
    shown = lines[:_MOST_LINES]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more: trendbreak incidents list")
    excess_usd = sum((one.excess_usd_per_day for one, _ in letters if one.excess_usd_per_day > 0), start=Decimal(0))
    total = f", together {format_signed_usd(excess_usd)}/day" if excess_usd else ""
    severity: Severity = min((one.severity for one, _ in letters), key=lambda one: _GRAVITY[one])
    count = f"{len(letters)} more incident{'s' if len(letters) > 1 else ''}"
    return Message(
        idempotency_key=key,
        incident_id=incident_id,
        action="open" if is_first else "update",
        severity=severity,
        channel=channel,
        title=f"📋 {count}{total}",
        summary=(
            f"This channel has had its {limit} new thread{'s' if limit > 1 else ''} of the day. What follows is open "
            f"too (trendbreak incidents show ID); each gets its thread on the next day with room, the gravest first."
        ),
        facts=(),
        why=(),
        footnotes=(),
        owner="",
        sql="",
        sections=(Section("Also new", tuple(shown)),),
    )


def _line(incident: Incident, title: str) -> str:
    per_day = f"{format_signed_usd(incident.excess_usd_per_day)}/day"
    dollars = f", {per_day}" if incident.excess_usd_per_day and per_day not in title else ""
    return f"{title}{dollars} ({incident.id})"
