"""From action to receipt: the outbox row is written first, then the message is sent, then the receipt kept.

    record_action      enqueue the message, save the incident (in this order: a run that dies between
                       the two decides the same again, and the same key is not enqueued twice)
    move_threads       incidents whose thread began elsewhere, before this sink could be reached, begin anew here
    deliver_pending    one pass over the rows: intent (sending) → send → receipt (sent)

A row found in the state `sending` belongs to a run that died, or to a call whose outcome nobody knows.
The sink is asked for its key; only when it cannot be there any more (the sink's visible_after_seconds
have passed) is it sent again. Rows of one incident go out in order; those of others do not wait for it.
One process delivers at a time: the caller holds the home's delivery lock (flows.steps.delivery).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from alerts.figures import format_day
from alerts.incidents import DIGEST_ONLY, incident_from_row, incident_to_row
from alerts.message import RenderContext, make_card_key, message_from_json, message_to_json, render, render_card
from alerts.model import CONDITION_KINDS, LIVE, Action, Break, Message, Severity
from alerts.sinks import DeliveryDelayed, DeliveryRefused, Letter, Receipt, Sink

WEBHOOK = "webhook"  # the channel of copies for the signed webhook
_SILENCES = 3  # so many unanswered calls in a row, and the pass leaves the rest to the next one

DeliveryStatus = Literal["sent", "found", "waiting", "failed"]


class OutboxStore(Protocol):
    """What the state store does for the outbox. Rows are mappings with the arguments of `enqueue` and
    `status` (pending | sending | sent | failed), `sending_at`, `channel_id`, `ts`, `error`."""

    def enqueue(
        self,
        key: str,
        incident_id: str,
        channel: str,
        thread_of: str | None,
        kind: str,
        payload: Mapping[str, Any],
        created_at: datetime,
    ) -> bool:
        """False, and nothing changes, where the key is there already."""
        ...

    def pending(self) -> Sequence[Mapping[str, Any]]:
        """Every row that is not sent, in the order of enqueuing."""
        ...

    def message(self, key: str) -> Mapping[str, Any] | None: ...

    def mark_sending(self, key: str, at: datetime) -> bool:
        """False where the row is sent already."""
        ...

    def mark_sent(self, key: str, at: datetime, channel_id: str, ts: str) -> bool: ...

    def mark_failed(self, key: str, at: datetime, error: str) -> bool:
        """It did not arrive: the next pass may send it without asking."""
        ...

    def send_again(self, key: str, payload: Mapping[str, Any]) -> bool:
        """Forget where a sent message arrived and let it wait again, with this payload. False where it waits."""
        ...


class IncidentStore(OutboxStore, Protocol):
    def outbox(self) -> Sequence[Mapping[str, Any]]:
        """Every row, sent ones included, in the order of enqueuing."""
        ...

    def list_incidents(self) -> Sequence[Mapping[str, Any]]: ...

    def save_incident(self, incident: Mapping[str, Any]) -> None: ...

    def add_event(self, incident_id: str, kind: str, at: datetime, who: str, text: str) -> None: ...


@dataclass(frozen=True)
class Delivered:
    """What became of one row. `detail` says why it waits or failed, with the cure."""

    key: str
    incident_id: str
    kind: str
    title: str
    channel: str
    status: DeliveryStatus
    sink: str
    severity: Severity = "low"
    detail: str = ""
    receipt: Receipt | None = None


def record_action(
    store: IncidentStore,
    action: Action,
    *,
    context: RenderContext,
    now: datetime,
    digest_below_usd_per_day: Decimal | None = None,
) -> Message | None:
    """Enqueue what the action has to say and save its incident; the message, None for a skip.

    A break of fewer dollars a day than `digest_below_usd_per_day` opens no thread: the weekly digest names it, until
    it grows to so many. Doing it twice with the same action changes nothing.
    """
    incident = action.incident
    if _is_quiet(store, action, digest_below_usd_per_day):
        return _record_quietly(store, action, digest_below_usd_per_day, context=context, now=now)
    if action.kind == "skip":
        if incident.episode > 0:  # a break too old to tell of is no incident
            store.save_incident(incident_to_row(incident))
        return None
    message = render(action, context=context)
    card = None if action.kind == "open" else render_card(incident, action.found, context=context)
    enqueue_message(store, message, card=card, now=now)
    store.save_incident(incident_to_row(incident))
    store.add_event(incident.id, action.kind, now, "trendbreak", action.reason)
    return message


def _is_quiet(store: IncidentStore, action: Action, least_usd_per_day: Decimal | None) -> bool:
    """Whether it is or was one for the digest only."""
    incident = action.incident
    if incident.details.get(DIGEST_ONLY):
        return True
    if action.kind not in ("open", "skip"):
        # Decided together with its opening, before it was known that this opens no thread.
        return store.message(make_card_key(incident.id)) is None
    if least_usd_per_day is None or action.kind != "open" or incident.kind in CONDITION_KINDS:
        return False
    # A run that died after enqueuing, with another setting: what is in the outbox is told.
    return abs(incident.excess_usd_per_day) < least_usd_per_day and store.message(make_card_key(incident.id)) is None


def _record_quietly(
    store: IncidentStore, action: Action, least_usd_per_day: Decimal | None, *, context: RenderContext, now: datetime
) -> Message | None:
    incident = action.incident
    is_small = least_usd_per_day is not None and abs(incident.excess_usd_per_day) < least_usd_per_day
    is_live = incident.status in ("open", "escalated") and action.found is not None and action.found.is_active
    is_news = is_live or action.kind in ("update", "escalate")  # another burst, though it is over
    if is_small or not is_news:
        details = {**incident.details, DIGEST_ONLY: True}
        store.save_incident(incident_to_row(replace(incident, details=details)))
        if action.kind != "skip":
            store.add_event(incident.id, action.kind, now, "trendbreak", f"{action.reason} (for the weekly digest)")
        return None
    told = {key: value for key, value in incident.details.items() if key != DIGEST_ONLY}
    incident = replace(incident, details=told)
    message = render_card(incident, action.found, context=context)
    enqueue_message(store, message, now=now)
    store.save_incident(incident_to_row(incident))
    store.add_event(incident.id, "open", now, "trendbreak", f"{action.reason} (too large for the digest alone)")
    return message


def enqueue_message(store: OutboxStore, message: Message, *, card: Message | None = None, now: datetime) -> None:
    """Put a message into the outbox: into its incident's thread unless it opens it.

    A reply to what was never told on its own (an incident for the digest only) goes nowhere.
    """
    if message.action != "open" and store.message(make_card_key(message.incident_id)) is None:
        return
    store.enqueue(
        key=message.idempotency_key,
        incident_id=message.incident_id,
        channel=message.channel,
        thread_of=None if message.action == "open" else make_card_key(message.incident_id),
        kind=message.action,
        payload={"message": message_to_json(message), "card": None if card is None else message_to_json(card)},
        created_at=now,
    )


def move_threads(
    store: IncidentStore,
    sink: Sink,
    *,
    context: RenderContext,
    now: datetime,
    found: Mapping[str, Break] | None = None,
) -> list[str]:
    """Let every live incident that was told where this sink cannot go on (a folder, before there was a token)
    wait to be told here, once, in its present state. Returns the ids of those moved.

    `found`: the breaks of this run by incident id: with them cards have charts. Doing it twice changes nothing.
    """
    moved: list[str] = []
    for row in store.list_incidents():
        incident = incident_from_row(row)
        key = make_card_key(incident.id)
        told = store.message(key) if incident.status in LIVE else None
        if told is None or told["status"] != "sent" or sink.holds(Receipt(told["channel_id"], told["ts"])):
            continue
        card = render_card(incident, (found or {}).get(incident.id), context=context)
        since = format_day(incident.opened_at.date(), today=now.date())
        note = f"First told on {since}, before {sink.name} could be reached; this is its present state."
        card = replace(card, footnotes=(*card.footnotes, note))
        if store.send_again(key, {"message": message_to_json(card), "card": None}):
            moved.append(incident.id)
    return moved


def copy_for_webhook(store: IncidentStore, *, since: datetime, now: datetime) -> None:
    """Enqueue a copy of every message enqueued at or after `since` for the webhook: rows of their own, so that
    neither waits for the other. Doing it twice changes nothing."""
    known = {row["key"] for row in store.outbox()}
    for row in store.outbox():
        key = f"{WEBHOOK}/{row['key']}"
        if row["created_at"] < since or row["key"].startswith(f"{WEBHOOK}/") or key in known:
            continue
        message = {**row["payload"]["message"], "idempotency_key": key}
        store.enqueue(
            key=key,
            incident_id=f"{WEBHOOK}-{row['incident_id']}",
            channel=WEBHOOK,
            thread_of=None,
            kind=row["kind"],
            payload={"message": message, "card": None},
            created_at=now,
        )


def deliver_copies(store: OutboxStore, webhook: Sink | None, *, now: datetime) -> list[Delivered]:
    """One pass over the webhook's copies; without a webhook any more they wait for nothing and are let go."""
    if webhook is not None:
        return deliver_pending(store, webhook, now=now, channel=WEBHOOK)
    for row in store.pending():
        if row["channel"] == WEBHOOK:
            store.mark_sent(row["key"], now, WEBHOOK, "no webhook is configured any more")
    return []


def deliver_pending(
    store: OutboxStore,
    sink: Sink,
    *,
    now: datetime,
    fallback: Sink | None = None,
    channel: str | None = None,
    held: Collection[str] = (),
) -> list[Delivered]:
    """One pass: every row that is not sent is tried once, in order, at most until its incident's first failure.

    `now`: the time at which the pass begins. `channel`: only its rows; else all but the webhook's.
    `fallback`: told at least once of what `sink` refuses. `held`: incidents whose rows wait (alerts.holding).
    Never raises for a message: what waits or failed is in the answer.
    """
    started = time.monotonic()

    def present() -> datetime:
        # Attempts are stamped with when they happen: minutes may lie between the first and the last of a pass.
        return now + timedelta(seconds=time.monotonic() - started)

    delivered: list[Delivered] = []
    held_up: dict[str, DeliveryDelayed | DeliveryRefused] = {}
    silences = 0
    for row in store.pending():
        if (row["channel"] == WEBHOOK) != (channel == WEBHOOK):
            continue
        incident_id = row["incident_id"]
        if incident_id in held:
            continue
        try:
            if incident_id in held_up:
                raise _after(held_up[incident_id], row)
            if silences >= _SILENCES:
                raise DeliveryDelayed(f"{sink.name} does not answer at present")
            receipt = _deliver_row(store, row, sink, present)
        except DeliveryDelayed as delay:
            silences += delay.is_unknown
            held_up.setdefault(incident_id, delay)
            delivered.append(_describe(row, sink, "waiting", str(delay)))
        except DeliveryRefused as refusal:
            held_up.setdefault(incident_id, refusal)
            delivered.append(_refuse(store, row, sink, refusal, fallback, present()))
        else:
            silences = 0
            status: DeliveryStatus = "found" if receipt.was_found else "sent"
            delivered.append(replace(_describe(row, sink, status, receipt.note), receipt=receipt))
    return delivered


def _after(earlier: DeliveryDelayed | DeliveryRefused, row: Mapping[str, Any]) -> DeliveryDelayed | DeliveryRefused:
    """What holds up a row behind an earlier one of its thread. A refusal is handed on, so that the fallback
    hears of this row too; but not to a row that may have arrived."""
    if isinstance(earlier, DeliveryRefused) and row["status"] != "sending":
        return earlier
    return DeliveryDelayed(f"after an earlier message of its thread: {earlier}")


def _deliver_row(store: OutboxStore, row: Mapping[str, Any], sink: Sink, present: Callable[[], datetime]) -> Receipt:
    letter = _read_letter(store, row, present())
    receipt: Receipt | None = None
    if row["status"] == "sending" and sink.can_find:
        attempted_at: datetime = row["sending_at"]
        try:
            receipt = sink.find(letter, since=min(attempted_at, letter.sent_at))
        except DeliveryRefused as refusal:
            # Not failed: nobody knows whether it arrived, so it must not be sent again unasked.
            raise DeliveryDelayed(f"whether it arrived already cannot be asked: {refusal}") from None
        waited = (letter.sent_at - attempted_at).total_seconds()
        if receipt is None and waited < sink.visible_after_seconds:
            left = sink.visible_after_seconds - waited
            raise DeliveryDelayed(f"an earlier attempt may still show up: {left:.0f} s to wait")
    if receipt is None:
        receipt = _send(store, letter, sink, present)
    if letter.card is not None:
        try:
            sink.edit(letter)
        except DeliveryRefused as refusal:
            # The message is there; only the thread's first message is not up to date.
            receipt = replace(receipt, note=f"the first message of the thread was not edited: {refusal}")
    store.mark_sent(letter.key, present(), receipt.channel_id, receipt.ts)
    return receipt


def _send(store: OutboxStore, letter: Letter, sink: Sink, present: Callable[[], datetime]) -> Receipt:
    letter = sink.prepare(letter)
    # Stamped right before the call: how long history may hide the message counts from here.
    if not store.mark_sending(letter.key, present()):
        stored = store.message(letter.key)
        if stored is None:
            raise DeliveryDelayed("its row is not in the outbox any more")
        return Receipt(stored["channel_id"], stored["ts"], was_found=True)
    try:
        return sink.send(letter)
    except DeliveryDelayed as delay:
        if not delay.is_unknown:
            store.mark_failed(letter.key, present(), str(delay))
        raise


def _read_letter(store: OutboxStore, row: Mapping[str, Any], now: datetime) -> Letter:
    payload = row["payload"]
    card = payload.get("card")
    thread: Receipt | None = None
    if row["thread_of"]:
        parent = store.message(row["thread_of"])
        if parent is None or parent["status"] != "sent":
            raise DeliveryDelayed("its thread is not open yet")
        thread = Receipt(parent["channel_id"], parent["ts"])
    return Letter(
        message=message_from_json(payload["message"]),
        sent_at=now,
        thread=thread,
        card=None if card is None else message_from_json(card),
    )


def _refuse(
    store: OutboxStore,
    row: Mapping[str, Any],
    sink: Sink,
    refusal: DeliveryRefused,
    fallback: Sink | None,
    now: datetime,
) -> Delivered:
    is_news = row["status"] != "failed" or row.get("error") != str(refusal)
    store.mark_failed(row["key"], now, str(refusal))
    detail = str(refusal)
    if fallback is not None and is_news:
        try:
            fallback.send(Letter(message=message_from_json(row["payload"]["message"]), sent_at=now))
            detail += f" (meanwhile sent to the {fallback.name})"
        except (DeliveryDelayed, DeliveryRefused) as error:
            detail += f" (and the fallback failed too: {error})"
    return _describe(row, sink, "failed", detail)


def _describe(row: Mapping[str, Any], sink: Sink, status: DeliveryStatus, detail: str) -> Delivered:
    return Delivered(
        key=row["key"],
        incident_id=row["incident_id"],
        kind=row["kind"],
        title=row["payload"]["message"]["title"],
        channel=row["channel"],
        status=status,
        sink=sink.name,
        severity=row["payload"]["message"]["severity"],
        detail=detail,
    )
