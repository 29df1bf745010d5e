"""Slack, exactly once: every message carries its key as metadata, and history is asked before a second try.

What happens to a call:
    answered ok                        the receipt
    429                                slack_sdk waits as told, three times; then DeliveryDelayed
    5xx, time-out, connection lost     DeliveryDelayed(is_unknown): Slack may have stored the message
    refused (token, channel, scope)    DeliveryRefused with the cure

The chart is uploaded without being shared anywhere and then shown inside the message by an image block:
an upload repeated after a crash is a file that nobody sees, where one shared into the channel would be a
second message. A picture is never a reason to lose an alert: if Slack does not take it, the text goes alone.

slack_sdk's default ConnectionErrorRetryHandler would post twice when Slack stored the message and the
connection broke before the answer, so it is not among the handlers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPException
from typing import Any, Protocol, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

from alerts import chart
from alerts.blocks import Block, escape, to_blocks, to_text
from alerts.model import Message
from alerts.sinks import (
    EVENT_TYPE,
    SDK_LOG,
    DeliveryDelayed,
    DeliveryError,
    DeliveryRefused,
    Letter,
    Receipt,
    metadata_of,
    pause,
)

DEFAULT_BASE_URL = "https://slack.com/api/"
# What the bot may do, and what for.
SCOPES: dict[str, str] = {
    "chat:write": "post and edit its messages",
    "files:write": "put the chart into a message",
    "channels:read": "find a public channel by its name, and see who may answer",
    "channels:history": "see whether a message arrived before sending it again",
    "groups:read": "the same in private channels",
    "groups:history": "the same in private channels",
}
_PAGE = 200
_MEMBERS_PAGE = 1000  # of a channel of the whole company there are many
_MAX_PAGES = 50
_LONGEST_PAUSE_SECONDS = 20
_CLOCK_SKEW = timedelta(hours=1)  # Slack's clock names the messages, ours the attempts
# A file can be shown in a message only when Slack has looked at it, a second or two after the upload.
_PICTURE_PAUSES = (0.5, 1.0, 1.5, 2.0, 3.0)

_TOKEN_CURE = (
    "install the Slack app again and put its new bot token (xoxb-…) where slack.token in trendbreak.yml points; "
    "what waits in the outbox goes out with the next run"
)
# https://docs.slack.dev/reference/methods/chat.postMessage/#errors: what waiting does not heal, and what does.
_REFUSALS: dict[str, tuple[str, str]] = {
    "invalid_auth": ("Slack does not know the bot token", _TOKEN_CURE),
    "not_authed": ("Slack got no bot token", _TOKEN_CURE),
    "token_revoked": ("the bot token was revoked", _TOKEN_CURE),
    "token_expired": ("the bot token has expired", _TOKEN_CURE),
    "account_inactive": ("the bot's account or workspace was deactivated", _TOKEN_CURE),
    "org_login_required": ("the workspace moved to another organisation", _TOKEN_CURE),
    "not_allowed_token_type": ("this is not a bot token", "use the bot token (xoxb-…), not an app or a user token"),
    "channel_not_found": (
        "Slack has no channel {channel} that the bot can see",
        "correct the channel in trendbreak.yml or features.yml; into a private one, invite the bot first",
    ),
    "not_in_channel": ("the bot is not in {channel}", "write /invite @Trendbreak in {channel}"),
    "is_archived": ("{channel} is archived", "unarchive it, or name another channel in trendbreak.yml or features.yml"),
    "restricted_action": ("a workspace rule forbids posting in {channel}", "ask a workspace admin to allow the app"),
    "ekm_access_denied": ("the workspace's admins have suspended posting", "ask a workspace admin"),
}
_UNKNOWN_OUTCOMES = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
_BAD_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_attachments"})
_GONE_MESSAGES = frozenset({"message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed"})

_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{8,}")

T = TypeVar("T")


class _Answer(Protocol):
    def get(self, key: str, default: Any = None) -> Any: ...


class _ShortPauses(RateLimitErrorRetryHandler):
    """Waits out a 429 within the call only where the pause is short.

    After a long one the attempt's stamp in the outbox would be too old to tell whether history can
    still be hiding the message; the outbox waits instead.
    """

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if not super()._can_retry(state=state, request=request, response=response, error=error) or response is None:
            return False
        headers = {name.lower(): value for name, value in response.headers.items()}
        pauses = headers.get("retry-after", ["1"])
        seconds = pauses[0] if isinstance(pauses, list) else pauses
        return seconds.isdigit() and int(seconds) <= _LONGEST_PAUSE_SECONDS


class SlackSink:
    """Posts to Slack with a bot token."""

    name = "Slack"
    can_find = True

    def __init__(
        self,
        token: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        interactive: bool = False,
        visible_after_seconds: float = 120.0,
        timeout_seconds: int = 30,
    ) -> None:
        """`visible_after_seconds`: how long one attempt may take (time-out, three short pauses of a 429),
        plus how late history may show what it stored."""
        self.visible_after_seconds = visible_after_seconds
        self._interactive = interactive
        self._client = make_client(token, base_url=base_url, timeout_seconds=timeout_seconds)
        self._channel_ids: dict[str, str] = {}

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        thread = _thread_of(letter)
        where = letter.message.channel
        arguments = {"oldest": f"{(since - _CLOCK_SKEW).timestamp():.6f}", "include_all_metadata": True}
        if thread is not None:
            channel_id = thread.channel_id
            arguments |= {"channel": channel_id, "ts": thread.ts}
            messages = self._pages("messages", self._client.conversations_replies, where, **arguments)
        else:
            channel_id = self.find_channel_id(where)
            arguments |= {"channel": channel_id}
            messages = self._pages("messages", self._client.conversations_history, where, **arguments)
        for stored in messages:
            metadata = stored.get("metadata") or {}
            payload = metadata.get("event_payload") or {}
            if metadata.get("event_type") == EVENT_TYPE and payload.get("key") == letter.key:
                return Receipt(channel_id, stored["ts"], was_found=True)
        return None

    def prepare(self, letter: Letter) -> Letter:
        picture, note = self._upload(_shown(letter))
        return replace(letter, picture=picture, note=note)

    def send(self, letter: Letter) -> Receipt:
        shown, thread = _shown(letter), _thread_of(letter)
        answer, note = self._post(
            shown,
            letter.picture,
            lambda blocks: self._client.chat_postMessage(
                channel=thread.channel_id if thread else shown.channel,
                thread_ts=thread.ts if thread else None,
                text=to_text(shown),
                blocks=blocks,
                metadata=metadata_of(letter.message),
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        return Receipt(str(answer["channel"]), str(answer["ts"]), note=note or letter.note)

    def edit(self, letter: Letter) -> None:
        card, thread = letter.card, _thread_of(letter)
        if card is None or thread is None:
            return
        picture, _ = self._upload(card)
        try:
            self._post(
                card,
                picture or self._picture_of(thread, card.channel),
                lambda blocks: self._client.chat_update(
                    channel=thread.channel_id,
                    ts=thread.ts,
                    text=to_text(card),
                    blocks=blocks,
                    metadata=metadata_of(card),
                ),
            )
        except DeliveryRefused as refusal:
            # Somebody deleted the message, or the workspace lets nobody edit: the thread still tells the story.
            if refusal.what not in _GONE_MESSAGES:
                raise

    def holds(self, thread: Receipt) -> bool:
        return _CHANNEL_ID.fullmatch(thread.channel_id) is not None

    def _post(self, message: Message, picture: str, call: Callable[[list[Block] | None], T]) -> tuple[T, str]:
        """The call with blocks, without the picture if Slack refuses that, and without blocks as a last resort."""
        blocks = to_blocks(message, interactive=self._interactive, chart={"id": picture} if picture else None)
        for seconds in (*_PICTURE_PAUSES, None) if picture else ():
            try:
                return self._call(message.channel, lambda: call(blocks)), ""
            except _BadBlocksError as error:
                if "slack" not in error.detail:  # not the picture: "invalid slack file", "slack_file"
                    break
                if seconds is not None:
                    pause(seconds)
        note = "Slack did not take the chart" if picture else ""
        try:
            plain = to_blocks(message, interactive=self._interactive)
            return self._call(message.channel, lambda: call(plain)), note
        except _BadBlocksError as error:
            note = f"Slack refused the blocks ({error.detail}), sent as plain text"
            return self._call(message.channel, lambda: call(None)), note

    def _upload(self, message: Message) -> tuple[str, str]:
        """The chart as a file of the bot's own, in no channel: its id, or why there is none."""
        if message.chart is None:
            return "", ""
        png = chart.draw(message.chart, title=message.title, onset=message.onset, last_day=message.last_day)
        try:
            answer = self._call(
                message.channel,
                lambda: self._client.files_upload_v2(
                    content=png, filename="trend.png", title="Cost and expected range, 90 days", alt_txt=message.title
                ),
            )
            files: list[dict[str, str]] = answer.get("files") or []
            return files[0]["id"], ""
        except (DeliveryError, KeyError, IndexError) as error:
            return "", f"without its chart: {error}"

    def _picture_of(self, thread: Receipt, channel: str) -> str:
        """The picture that the message shows at present."""
        answer = self._call(
            channel,
            lambda: self._client.conversations_history(
                channel=thread.channel_id, latest=thread.ts, oldest=thread.ts, inclusive=True, limit=1
            ),
        )
        for stored in answer.get("messages") or []:
            for block in stored.get("blocks") or []:
                if block.get("type") == "image" and (block.get("slack_file") or {}).get("id"):
                    return str(block["slack_file"]["id"])
        return ""

    def is_member(self, channel_id: str, user_id: str) -> bool:
        """Whether a person is in a channel."""
        arguments = {"channel": channel_id, "limit": _MEMBERS_PAGE}
        return user_id in self._pages("members", self._client.conversations_members, channel_id, **arguments)

    def whisper(self, channel_id: str, user_id: str, text: str) -> None:
        """A line that only one person sees, and only now."""
        self._call(
            channel_id,
            lambda: self._client.chat_postEphemeral(channel=channel_id, user=user_id, text=escape(text)),
        )

    def find_channel_id(self, channel: str) -> str:
        """The id of a channel given by name or id. Raises DeliveryRefused for one that the bot cannot see."""
        if _CHANNEL_ID.fullmatch(channel):
            return channel
        name = channel.removeprefix("#")
        if name not in self._channel_ids:
            try:
                self._channel_ids.update(self._list_channels(channel, "public_channel,private_channel"))
            except DeliveryRefused:
                # Without groups:read the bot may still list public channels.
                self._channel_ids.update(self._list_channels(channel, "public_channel"))
        if name not in self._channel_ids:
            what, cure = _REFUSALS["channel_not_found"]
            raise DeliveryRefused(what.format(channel=channel), cure)
        return self._channel_ids[name]

    def _list_channels(self, where: str, types: str) -> dict[str, str]:
        listed = self._pages("channels", self._client.conversations_list, where, types=types, exclude_archived=True)
        return {channel["name"]: channel["id"] for channel in listed}

    def _pages(self, field: str, method: Callable[..., _Answer], where: str, **arguments: Any) -> Iterator[Any]:
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            answer = self._call(where, partial(method, cursor=cursor, **{"limit": _PAGE, **arguments}))
            yield from answer.get(field) or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
        limit = int(arguments.get("limit", _PAGE)) * _MAX_PAGES
        raise DeliveryDelayed(f"{where} has more {field} than the {limit:,} that are looked through")

    def _call(self, channel: str, call: Callable[[], T]) -> T:
        """One call, its failures sorted into what can pass, what cannot, and what may have worked."""
        try:
            return call()
        except SlackApiError as error:
            raise _sort_error(error, channel) from None
        except (SlackClientError, OSError, HTTPException, ValueError) as error:
            what = f"Slack gave no answer ({type(error).__name__})"
            raise DeliveryDelayed(what, is_unknown=True) from None


def _thread_of(letter: Letter) -> Receipt | None:
    """The letter's thread, if that is one of Slack's: it began in a folder while there was no token."""
    return letter.thread if letter.thread and _CHANNEL_ID.fullmatch(letter.thread.channel_id) else None


def _shown(letter: Letter) -> Message:
    """What to show: the whole card, where there is no thread that a reply could be read in."""
    if letter.thread is not None and _thread_of(letter) is None and letter.card is not None:
        return letter.card
    return letter.message


class _BadBlocksError(DeliveryError):
    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def _sort_error(error: SlackApiError, channel: str) -> DeliveryError:
    response = error.response
    code = str(response.get("error") or "")
    status = int(getattr(response, "status_code", 200) or 200)
    if status == 429 or code in ("ratelimited", "rate_limited"):
        headers = {str(name).lower(): value for name, value in (getattr(response, "headers", None) or {}).items()}
        seconds = str(headers.get("retry-after") or "")
        return DeliveryDelayed(
            "Slack asks for a pause (429)", retry_after_seconds=float(seconds) if seconds.isdigit() else None
        )
    if status >= 500 or code in _UNKNOWN_OUTCOMES or code.startswith("Received a response in a non-JSON"):
        what = f"Slack answers {status}" if status >= 500 else f"Slack answers {code[:80]}"
        return DeliveryDelayed(what, is_unknown=True)
    if code in _BAD_BLOCKS:
        details = (response.get("response_metadata") or {}).get("messages") or response.get("errors") or [code]
        return _BadBlocksError("; ".join(str(detail) for detail in details)[:300])
    if code in _GONE_MESSAGES:
        return DeliveryRefused(code, "nothing to do: the message is not there to be changed")
    if code == "missing_scope":
        needed = str(response.get("needed") or "one more")
        return DeliveryRefused(
            f"the bot lacks the scope {needed}",
            f"add {needed} in the Slack app's settings (OAuth & Permissions) and install the app again",
        )
    if code in _REFUSALS:
        what, cure = _REFUSALS[code]
        return DeliveryRefused(what.format(channel=channel), cure.format(channel=channel))
    return DeliveryRefused(f"Slack refuses the message with {code[:80] or status}", "see the Slack API's error list")


def make_client(token: str, *, base_url: str = DEFAULT_BASE_URL, timeout_seconds: int = 30) -> WebClient:
    """A client that repeats nothing but what Slack said it did not take."""
    return WebClient(
        token=token,
        base_url=base_url if base_url.endswith("/") else f"{base_url}/",
        timeout=timeout_seconds,
        retry_handlers=[_ShortPauses(max_retry_count=3)],
        logger=SDK_LOG,
    )


def make_manifest(name: str = "Trendbreak") -> dict[str, Any]:
    """The Slack app's manifest, to paste at https://api.slack.com/apps?new_app=1: scopes, buttons, Socket Mode.

    The app-level token with connections:write is made by hand afterwards: no manifest can hold it.
    """
    return {
        "display_information": {
            "name": name,
            "description": "What every AI feature costs, and an alert the day its cost breaks trend",
            "background_color": "#1d3557",
        },
        "features": {"bot_user": {"display_name": name, "always_online": True}},
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "interactivity": {"is_enabled": True},
            "org_deploy_enabled": False,
            "socket_mode_enabled": True,
            "token_rotation_enabled": False,
        },
    }


def check_token(token: str, channel: str, *, base_url: str = DEFAULT_BASE_URL) -> tuple[str, str]:
    """Whether messages to `channel` would arrive: (what was found, the cure; empty when all is well)."""
    sink = SlackSink(token, base_url=base_url, timeout_seconds=10)
    client = sink._client
    try:
        who = sink._call(channel, client.auth_test)
        found = f"{who.get('user', 'the bot')} in {who.get('team', 'the workspace')}"
        channel_id = sink.find_channel_id(channel)
        info = sink._call(channel, lambda: client.conversations_info(channel=channel_id)).get("channel") or {}
    except DeliveryRefused as refusal:
        return refusal.what, refusal.cure
    except DeliveryError as error:
        return str(error), "check the network and slack.base_url, then try again"
    if not info.get("is_member", False):
        what, cure = _REFUSALS["not_in_channel"]
        return f"{found}; {what.format(channel=channel)}", cure.format(channel=channel)
    return f"{found}, posts to {channel}", ""


__all__ = ["SCOPES", "DeliveryDelayed", "DeliveryRefused", "SlackSink", "check_token", "make_client", "make_manifest"]
