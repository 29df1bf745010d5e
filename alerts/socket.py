"""Slack's buttons, over Socket Mode: a click is recorded, acknowledged, checked, applied and told.

Slack wants its acknowledgement within three seconds, so only one small write comes before it: the click
itself, under the key of the click (a redelivered envelope carries the same one). All else follows on a
thread of its own and begins again where a process was killed: is the person in the incident's channel,
what does the answer change (alerts.feedback), and the reply in the thread (the outbox).
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol

from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from alerts.blocks import ACTION_PREFIX, ANSWERS
from alerts.feedback import AnswerRefusedError, FeedbackStore, UnknownIncidentError, apply_answers, record_answer
from alerts.message import RenderContext
from alerts.sinks import SDK_LOG, DeliveryDelayed, DeliveryError, DeliveryRefused
from alerts.slack import DEFAULT_BASE_URL, SlackSink, make_client

_LOG = logging.getLogger("alerts.socket")
_LOG.addHandler(logging.NullHandler())
_CLICKED = "clicked:"  # a click as it came; the answer proper is recorded once the person was checked
_PATIENCE = timedelta(days=1)
_BLOCK_ID = re.compile(re.escape(ACTION_PREFIX) + r"(?P<incident>[\w-]+)_[0-9a-f]+")
_APP_TOKEN_CURE = (
    "make an app-level token (xapp-…) with the scope connections:write in the Slack app's settings, turn Socket Mode "
    "on, and put the token where slack.app_token in trendbreak.yml points"
)


class ListenerStore(FeedbackStore, Protocol):
    def thread(self, incident_id: str) -> tuple[str, str] | None:
        """(channel id, ts) of the incident's first message; None before it is sent."""
        ...


class Click:
    """One click of ours in a block_actions payload. `snoozed_until`: None but for a snooze."""

    def __init__(self, payload: Mapping[str, Any], action: Mapping[str, Any], *, today: date) -> None:
        """Raises ValueError for an action that is not one of our buttons."""
        block = _BLOCK_ID.fullmatch(str(action.get("block_id", "")))
        name = str(action.get("action_id", "")).removeprefix(ACTION_PREFIX)
        if block is None or name not in {*ANSWERS, "snooze", "snooze_until"}:
            raise ValueError("not a button of an incident")
        user = payload.get("user") or {}
        self.incident_id = block["incident"]
        self.answer = "snooze" if name.startswith("snooze") else name
        self.user_id = str(user.get("id", ""))
        self.who = f"@{user.get('name') or user.get('username') or self.user_id}"
        self.channel_id = str((payload.get("container") or {}).get("channel_id", ""))
        self.snoozed_until: date | None = None
        if name == "snooze":
            days = int((action.get("selected_option") or {}).get("value", ""))
            self.snoozed_until = today + timedelta(days=days)
        elif name == "snooze_until":
            self.snoozed_until = date.fromisoformat(str(action.get("selected_date")))
        # One click has one action_ts, however often Slack delivers it.
        self.key = f"{self.user_id}/{action.get('action_ts')}/{self.answer}"


class Listener:
    """Listens until it is stopped; survives reconnects. One per app."""

    def __init__(
        self,
        store: ListenerStore,
        *,
        app_token: str,
        bot_token: str,
        clock: Callable[[], datetime],
        context: Callable[[], RenderContext],
        deliver: Callable[[], None],
        base_url: str = DEFAULT_BASE_URL,
        retry_seconds: float = 10.0,
        recheck_seconds: float = 3600.0,
        ping_seconds: float = 5.0,
    ) -> None:
        """`clock`: the present in UTC. `context`: what a card is rendered with, now. `deliver`: one pass over
        the outbox, under its lock; may raise DeliveryError. Nothing is sent before `start`. `retry_seconds`: after a
        delay; `recheck_seconds`: while a click waits whose check Slack refuses."""
        self._store = store
        self._clock = clock
        self._context = context
        self._deliver = deliver
        self._retry_seconds, self._recheck_seconds = retry_seconds, recheck_seconds
        self._slack = SlackSink(bot_token, base_url=base_url, interactive=True)
        self._socket = SocketModeClient(
            app_token=app_token,
            web_client=make_client(bot_token, base_url=base_url),
            logger=SDK_LOG,
            ping_interval=ping_seconds,
        )
        self._socket.socket_mode_request_listeners.append(self._receive)
        self._has_work = threading.Event()
        self._has_work.set()  # what an earlier process left
        self._stopped = threading.Event()
        self._follower = threading.Thread(target=self._follow_up_for_ever, name="slack-clicks", daemon=True)

    def start(self) -> None:
        """Connect, and come back once connected. Raises DeliveryRefused for a token that Slack does not take,
        DeliveryDelayed when Slack cannot be reached."""
        try:
            self._socket.connect()
        except SlackApiError as error:
            self._close_socket()
            code = str(error.response.get("error"))
            raise DeliveryRefused(f"Slack opens no Socket Mode connection ({code})", _APP_TOKEN_CURE) from None
        except OSError as error:
            self._close_socket()
            raise DeliveryDelayed(f"Slack cannot be reached ({type(error).__name__})") from None
        self._follower.start()

    def stop(self) -> None:
        """Stop listening; a click that is being worked on is finished."""
        self._stopped.set()
        self._has_work.set()
        self._close_socket()
        if self._follower.is_alive():
            self._follower.join(timeout=self._retry_seconds)

    def _close_socket(self) -> None:
        with suppress(Exception):  # closing during a reconnect raises in slack_sdk
            self._socket.close()

    def _receive(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        if request.type == "interactive" and request.payload.get("type") == "block_actions":
            for action in request.payload.get("actions") or []:
                self._record(request.payload, action)
        # What is not ours is acknowledged too: Slack would send it again otherwise.
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    def _record(self, payload: Mapping[str, Any], action: Mapping[str, Any]) -> None:
        now = self._clock()
        try:
            click = Click(payload, action, today=now.date())
        except (ValueError, TypeError):
            return
        until = None if click.snoozed_until is None else datetime.combine(click.snoozed_until, time(), UTC)
        self._store.add_feedback(
            click.key,
            click.incident_id,
            f"{_CLICKED}{click.answer}",
            click.who,
            now,
            until=until,
            text=json.dumps({"user_id": click.user_id, "channel_id": click.channel_id}),
        )
        self._has_work.set()

    def _follow_up_for_ever(self) -> None:
        is_waiting = False
        while not self._stopped.is_set():
            self._has_work.wait(self._recheck_seconds if is_waiting else None)
            self._has_work.clear()
            if self._stopped.is_set():
                return
            try:
                is_waiting = self.follow_up()
            except DeliveryError as error:
                _LOG.warning("clicks wait: %s", error)
                self._try_again_later()
            except Exception:
                # A fault of ours or of the store must not end the listening.
                _LOG.exception("clicks wait")
                self._try_again_later()

    def _try_again_later(self) -> None:
        self._stopped.wait(self._retry_seconds)
        self._has_work.set()

    def follow_up(self) -> bool:
        """Check, apply and tell whatever was clicked so far; whether a click waits whose check Slack refuses. Raises
        DeliveryDelayed when Slack has to be waited for.

        A refused check (the bot was thrown out of the channel, its token revoked) is tried again for a day. A click
        that waits holds up the later ones of its incident, whose last answer is to win, and no other.
        """
        rows = self._store.list_feedback()
        done = {row["key"] for row in rows}
        delay: DeliveryDelayed | None = None
        waiting: set[str] = set()  # incidents
        for row in rows:
            is_click = str(row["kind"]).startswith(_CLICKED) and f"{row['key']}/checked" not in done
            if not is_click or row["incident_id"] in waiting:
                continue
            try:
                self._check(row)
            except DeliveryDelayed as error:
                delay = error
                waiting.add(row["incident_id"])
            except DeliveryRefused as refusal:
                _LOG.warning("%s's answer to %s cannot be checked: %s", row["who"], row["incident_id"], refusal)
                if self._clock() - row["at"] > _PATIENCE:
                    self._refuse(row, str(refusal))
                else:
                    waiting.add(row["incident_id"])
        apply_answers(self._store, context=self._context(), now=self._clock())
        self._deliver()
        if delay is not None:
            raise delay
        return bool(waiting)

    def _check(self, row: Mapping[str, Any]) -> None:
        answer = str(row["kind"]).removeprefix(_CLICKED)
        until: datetime | None = row["until"]
        refusal = self._find_refusal(row, json.loads(row["text"]))
        if not refusal:
            try:
                record_answer(
                    self._store,
                    row["incident_id"],
                    answer,
                    key=f"{row['key']}/checked",
                    who=row["who"],
                    now=row["at"],
                    snoozed_until=None if until is None else until.date(),
                )
                return
            except UnknownIncidentError:
                refusal = "This incident is not known any more."
            except AnswerRefusedError as error:
                refusal = str(error)
        self._refuse(row, refusal)

    def _refuse(self, row: Mapping[str, Any], refusal: str) -> None:
        key, place = f"{row['key']}/checked", json.loads(row["text"])
        self._store.add_feedback(key, row["incident_id"], "refused", row["who"], row["at"], text=refusal)
        with suppress(DeliveryError):
            self._slack.whisper(place["channel_id"], place["user_id"], refusal)

    def _find_refusal(self, row: Mapping[str, Any], place: Mapping[str, str]) -> str:
        """Why this click does not count; empty when it does."""
        thread = self._store.thread(row["incident_id"])
        if thread is None or thread[0] != place["channel_id"]:
            return "This message does not belong to the incident's channel."
        if not self._slack.is_member(place["channel_id"], place["user_id"]):
            return "Only members of this channel can answer for its incidents: join it, then click again."
        return ""
