"""Where a message can go. A sink sends one letter at a time and says how sure it is.

    DeliveryError
    ├── DeliveryDelayed   can pass: the sink is down, busy, or has not said whether it took the letter
    └── DeliveryRefused   will not pass by waiting: revoked token, unknown channel, bot not in the channel

A sink that can be read back (`can_find`) delivers exactly once: after a crash it is asked for the
letter's key before anything is sent again. One that cannot delivers at least once, and says so.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Protocol

from alerts import chart
from alerts.blocks import to_blocks, to_text
from alerts.message import message_to_json
from alerts.model import CONDITION_KINDS, Message

# slack_sdk logs every failure as an error, and with it what Slack answered; each is raised and told once by us, so
# its own lines go nowhere, whatever the program has set up for logs.
SDK_LOG = logging.getLogger("alerts.slack_sdk")
SDK_LOG.setLevel(logging.CRITICAL + 1)
SDK_LOG.propagate = False

EVENT_TYPE = "trendbreak_alert"
REPEAT_NOTE = "Sent on the fallback, which cannot be read back: this message may arrive twice."


class DeliveryError(Exception):
    """A letter did not arrive, or nobody knows whether it did."""


class DeliveryDelayed(DeliveryError):
    """Try again later. `is_unknown`: the letter may have arrived; ask before sending it again.

    `retry_after_seconds`: what the sink asked for, None when it asked for nothing.
    """

    def __init__(self, what: str, *, is_unknown: bool = False, retry_after_seconds: float | None = None) -> None:
        super().__init__(what)
        self.is_unknown = is_unknown
        self.retry_after_seconds = retry_after_seconds


class DeliveryRefused(DeliveryError):
    """Waiting does not help; `cure` says what does."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{what}: {cure}" if cure else what)
        self.what = what
        self.cure = cure


@dataclass(frozen=True)
class Receipt:
    """Where a letter arrived. `ts`: Slack's name of the message, or the file's name in a folder."""

    channel_id: str
    ts: str
    was_found: bool = False  # it had arrived in an earlier attempt
    note: str = ""


@dataclass(frozen=True)
class Letter:
    """One message on its way. `thread`: where its incident's thread begins, None for a first message.

    `card`: what the thread's first message should say from now on. `picture`: the sink's own name for
    the chart once `prepare` has put it there; `note`: why there is none.
    """

    message: Message
    sent_at: datetime
    thread: Receipt | None = None
    card: Message | None = None
    picture: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        return self.message.idempotency_key


class Sink(Protocol):
    """Sends letters. Raises DeliveryDelayed or DeliveryRefused, nothing else that is foreseen."""

    @property
    def name(self) -> str: ...

    @property
    def can_find(self) -> bool: ...

    @property
    def visible_after_seconds(self) -> float:
        """How long a letter that arrived may stay invisible to `find`."""
        ...

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        """The letter, if it arrived at or after `since`; None if it is not (yet) to be seen."""
        ...

    def prepare(self, letter: Letter) -> Letter:
        """All that takes time and that nobody sees: done before the attempt is stamped."""
        ...

    def send(self, letter: Letter) -> Receipt: ...

    def edit(self, letter: Letter) -> None:
        """Bring the thread's first message to `letter.card`. Doing it twice changes nothing."""
        ...

    def holds(self, thread: Receipt) -> bool:
        """Whether a thread that began there can be gone on with here."""
        ...


def metadata_of(message: Message) -> dict[str, Any]:
    """Slack message metadata that carries the idempotency key."""
    return {
        "event_type": EVENT_TYPE,
        "event_payload": {"key": message.idempotency_key, "incident_id": message.incident_id, "action": message.action},
    }


class FolderSink:
    """Messages as files, `NNN-<slug>.json` (postable with chat.postMessage as it is), `.txt`, `.png`.

    A key that is in the folder already is not written again.
    """

    name = "folder"
    can_find = True
    visible_after_seconds = 0.0

    def __init__(self, root: Path, *, interactive: bool = False) -> None:
        self._root = root
        self._interactive = interactive
        self._names: dict[str, str] | None = None

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        name = self._known().get(letter.key)
        return Receipt(str(self._root), name, was_found=True) if name else None

    def prepare(self, letter: Letter) -> Letter:
        return letter

    def send(self, letter: Letter) -> Receipt:
        if found := self.find(letter, since=letter.sent_at):
            return found
        message = letter.message
        self._root.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(name[:3]) for name in self._known().values()), default=0)
        name = f"{number:03d}-{_slug(message)}"
        metadata = metadata_of(message)
        if letter.thread is not None:
            metadata["event_payload"]["thread"] = letter.thread.ts
        post = {
            "channel": message.channel,
            "text": to_text(message),
            "blocks": to_blocks(message, interactive=self._interactive),
            "metadata": metadata,
        }
        if message.chart is not None:
            self._write(
                f"{name}.png",
                chart.draw(message.chart, title=message.title, onset=message.onset, last_day=message.last_day),
            )
        self._write(f"{name}.txt", _terminal_text(message).encode())
        # Last: a name counts as taken, and a message as delivered, when its .json is there.
        self._write(f"{name}.json", json.dumps(post, indent=2, ensure_ascii=False).encode() + b"\n")
        self._known()[letter.key] = name
        return Receipt(str(self._root), name)

    def edit(self, letter: Letter) -> None:
        """Files stay as they were sent: the folder is the story, the newest file its end."""

    def holds(self, thread: Receipt) -> bool:
        return True

    def _known(self) -> dict[str, str]:
        if self._names is None:
            self._names = {}
            for path in sorted(self._root.glob("[0-9][0-9][0-9]-*.json")):
                payload = json.loads(path.read_text())["metadata"]["event_payload"]
                self._names[payload["key"]] = path.stem
        return self._names

    def _write(self, name: str, content: bytes) -> None:
        partial = self._root / f".{name}.partial"
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._root / name)


def _slug(message: Message) -> str:
    """`open-support-chat`, `open-support-chat-budget`; of a digest the title without its mark and figures."""
    subject = re.sub(r"\s[+-]?\$.*", "", message.title.rsplit(" · ", 1)[-1])
    if message.node:
        subject = f"{message.node} {message.kind if message.kind in CONDITION_KINDS else ''}"
    words = re.sub(r"[^a-z0-9]+", "-", f"{message.action} {subject}".lower()).strip("-")
    return words[:60].strip("-") or "message"


def _terminal_text(message: Message) -> str:
    from alerts.terminal import to_plain_text

    return to_plain_text(message)


class RefusingSink:
    """Stands where a sink cannot be made, as when its secret is missing: every letter waits for the cure."""

    name = "Slack"
    can_find = True  # what an earlier attempt may have sent must be asked for, and cannot be now
    visible_after_seconds = 0.0

    def __init__(self, what: str, cure: str = "") -> None:
        self._what, self._cure = what, cure

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        raise DeliveryRefused(self._what, self._cure)

    def prepare(self, letter: Letter) -> Letter:
        return letter

    def send(self, letter: Letter) -> Receipt:
        raise DeliveryRefused(self._what, self._cure)

    def edit(self, letter: Letter) -> None:
        raise DeliveryRefused(self._what, self._cure)

    def holds(self, thread: Receipt) -> bool:
        return True  # what cannot be sent need not be moved


class StreamSink:
    """Messages as text on a stream: standard output when there is nothing else. At least once."""

    name = "terminal"
    can_find = False
    visible_after_seconds = 0.0

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        return None

    def prepare(self, letter: Letter) -> Letter:
        return letter

    def send(self, letter: Letter) -> Receipt:
        self._stream.write(f"{_terminal_text(letter.message)}\n{REPEAT_NOTE}\n")
        self._stream.flush()
        return Receipt("terminal", letter.key)

    def edit(self, letter: Letter) -> None:
        """A line that was printed stays printed."""

    def holds(self, thread: Receipt) -> bool:
        return True


class IncomingWebhookSink:
    """A Slack incoming webhook: no thread, no chart, no read-back. At least once, and marked so."""

    name = "Slack incoming webhook"
    can_find = False
    visible_after_seconds = 0.0

    def __init__(self, url: str, *, timeout_seconds: int = 30) -> None:
        from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
        from slack_sdk.webhook import WebhookClient

        self._client = WebhookClient(
            url,
            timeout=timeout_seconds,
            retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=3)],
            logger=SDK_LOG,
        )

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        return None

    def prepare(self, letter: Letter) -> Letter:
        return letter

    def send(self, letter: Letter) -> Receipt:
        blocks = to_blocks(letter.message)
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": REPEAT_NOTE}]})
        try:
            answer = self._client.send(text=to_text(letter.message), blocks=blocks[-50:])
        except (OSError, HTTPException, ValueError) as error:
            # The address is the secret of a webhook: it is not in the text.
            raise DeliveryDelayed(f"the Slack incoming webhook does not answer ({type(error).__name__})") from None
        if answer.status_code == 200:
            return Receipt("webhook", letter.key)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise DeliveryDelayed(f"the Slack incoming webhook answers {answer.status_code}")
        raise DeliveryRefused(
            f"the Slack incoming webhook answers {answer.status_code} {answer.body[:80]}",
            "make a new webhook address in the Slack app's settings and put it where slack.webhook_url points",
        )

    def edit(self, letter: Letter) -> None:
        """A webhook cannot edit what it posted."""

    def holds(self, thread: Receipt) -> bool:
        return True


class SignedWebhookSink:
    """POSTs the neutral message as JSON to any address. At least once; `key` lets the receiver de-duplicate.

    Header `X-Trendbreak-Signature: t=<unix seconds>,v1=<hex>`, where v1 is HMAC-SHA256 of
    `<t>.<body>` with the shared secret, so that a receiver can refuse forged and replayed calls.
    """

    name = "webhook"
    can_find = False
    visible_after_seconds = 0.0

    def __init__(self, url: str, secret: str, *, timeout_seconds: float = 30) -> None:
        self._url = url
        self._secret = secret.encode()
        self._timeout_seconds = timeout_seconds

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        return None

    def prepare(self, letter: Letter) -> Letter:
        return letter

    def send(self, letter: Letter) -> Receipt:
        import httpx

        body = json.dumps(
            {
                "key": letter.key,
                "delivery": "at least once",
                "sent_at": letter.sent_at.isoformat(),
                "message": message_to_json(letter.message),
            }
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Trendbreak-Signature": sign(body, self._secret, letter.sent_at),
        }
        try:
            answer = httpx.post(self._url, content=body, headers=headers, timeout=self._timeout_seconds)
        except httpx.HTTPError as error:
            raise DeliveryDelayed(f"the webhook does not answer ({type(error).__name__})") from None
        if answer.is_success:
            return Receipt("webhook", letter.key)
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            raise DeliveryDelayed(f"the webhook answers {answer.status_code}")
        raise DeliveryRefused(f"the webhook answers {answer.status_code}", "check its address and its shared secret")

    def edit(self, letter: Letter) -> None:
        """The receiver gets every state as a message of its own."""

    def holds(self, thread: Receipt) -> bool:
        return True


def sign(body: bytes, secret: bytes, sent_at: datetime) -> str:
    """The signature header of a body."""
    seconds = int(sent_at.timestamp())
    digest = hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def verify(body: bytes, header: str, secret: bytes, *, now: datetime, tolerance_seconds: float = 300) -> bool:
    """Whether `header` signs `body` and is not older (or newer) than the tolerance. For receivers."""
    if not header.isascii():
        return False  # `²` is a digit too, and no number
    parts: Mapping[str, str] = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    if not parts.get("t", "").isdigit() or abs(now.timestamp() - int(parts["t"])) > tolerance_seconds:
        return False
    digest = hmac.new(secret, f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(digest, parts.get("v1", ""))


def pause(seconds: float) -> None:
    """How a sink waits; the one place where a test can be quicker."""
    time.sleep(seconds)
