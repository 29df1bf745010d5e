"""A local Slack: the Web API methods that Trendbreak uses, stateful, for an unmodified slack_sdk.

Written from https://docs.slack.dev, never from our own sink. It refuses blocks that break Slack's limits,
shows a message in history only after a delay if told so, and can fail in every way that Slack or the network
does. Tests assert on what it stored.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "xoxb-test-token"
APP_TOKEN = "xapp-test-token"
BOT_USER = "U0BOTUSER1"
SCOPES = frozenset(["chat:write", "files:write", "channels:read", "channels:history", "groups:read", "groups:history"])
_NEEDED_SCOPE = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.postEphemeral": "chat:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
    "conversations.list": "channels:read",
    "conversations.info": "channels:read",
    "conversations.members": "channels:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "files.info": "files:read",
}


@dataclass(frozen=True)
class Fault:
    """What one call meets.

    "status": an HTTP error instead of the call; "stored_status": the call happens, the answer is the error;
    "error": `ok: false` with `error`; "drop": the connection is closed and nothing happens;
    "stored_drop": the call happens and the connection is closed before the answer; "slow": the call
    happens after `seconds`; "stored_slow": the call happens at once, the answer comes after `seconds`.
    """

    kind: str
    status: int = 503
    error: str = "internal_error"
    retry_after: int | None = None
    seconds: float = 0.0


@dataclass
class Channel:
    id: str
    name: str
    is_member: bool = True
    is_archived: bool = False
    is_private: bool = False
    members: list[str] = field(default_factory=lambda: [BOT_USER])


@dataclass(frozen=True)
class Call:
    method: str
    arguments: dict[str, Any]
    at: float


class SlackRefusalError(Exception):
    """`ok: false` with this error."""

    def __init__(self, error: str, messages: list[str] | None = None, **more: Any) -> None:
        super().__init__(error)
        self.answer: dict[str, Any] = {"ok": False, "error": error, **more}
        if messages:
            self.answer["errors"] = messages
            self.answer["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in messages]}


class SlackServer:
    """State and behaviour; `serve` makes it reachable. Everything may be changed while it runs."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.url = ""
        self.token = TOKEN
        self.is_token_revoked = False
        self.scopes = set(SCOPES)
        self.channels: dict[str, Channel] = {}
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.edits: list[dict[str, Any]] = []
        self.files: dict[str, dict[str, Any]] = {}
        self.calls: list[Call] = []
        self.faults: dict[str, list[Fault]] = {}
        self.fault_for_ever: dict[str, Fault] = {}
        self.history_delay_seconds = 0.0
        self.file_delay_seconds = 0.0
        self.page_limit = 1000
        self.whispers: list[dict[str, Any]] = []
        self.open_socket: Callable[[], str] | None = None  # gives the address of a Socket Mode connection
        self.latency_seconds = 0.0
        self.active = 0  # requests that are being answered, also to callers that are gone
        self._last_ts = 0
        self.add_channel("ai-costs")

    @property
    def base_url(self) -> str:
        return f"{self.url}/api/"

    def add_channel(self, name: str, **more: Any) -> Channel:
        channel = Channel(id=f"C{len(self.channels):08d}A", name=name, **more)
        self.channels[channel.id] = channel
        self.messages[channel.id] = []
        return channel

    def fail_next(self, method: str, *faults: Fault) -> None:
        with self.lock:
            self.faults.setdefault(method, []).extend(faults)

    def posts(self, channel: str | None = None) -> list[dict[str, Any]]:
        """All stored messages, replies included, oldest first."""
        with self.lock:
            chosen = [c.id for c in self.channels.values() if channel is None or c.name == channel.removeprefix("#")]
            return sorted((m for c in chosen for m in self.messages[c]), key=lambda message: float(message["ts"]))

    def keys(self) -> list[str]:
        """The idempotency keys of all stored messages, oldest first."""
        return [message["metadata"]["event_payload"]["key"] for message in self.posts()]

    def thread(self, parent: dict[str, Any]) -> list[dict[str, Any]]:
        return [message for message in self.posts() if message.get("thread_ts") == parent["ts"] != message["ts"]]

    def called(self, method: str) -> list[dict[str, Any]]:
        return [call.arguments for call in self.calls if call.method == method]

    # The API

    def answer(self, method: str, arguments: dict[str, Any], token: str | None) -> dict[str, Any]:
        with self.lock:
            self.calls.append(Call(method, arguments, time.time()))
            try:
                self._authorise(method, token)
                handler = getattr(self, "_" + re.sub(r"[.]|(?<=[a-z])(?=[A-Z])", "_", method).lower(), None)
                if handler is None:
                    raise SlackRefusalError("unknown_method")
                return {"ok": True, **handler(arguments)}
            except SlackRefusalError as refusal:
                return refusal.answer

    def _authorise(self, method: str, token: str | None) -> None:
        if not token:
            raise SlackRefusalError("not_authed")
        if method == "apps.connections.open":
            if token != APP_TOKEN:
                raise SlackRefusalError("invalid_auth")
            return
        if token != self.token:
            raise SlackRefusalError("invalid_auth")
        if self.is_token_revoked:
            raise SlackRefusalError("token_revoked")
        needed = _NEEDED_SCOPE.get(method)
        if needed and needed not in self.scopes:
            raise SlackRefusalError("missing_scope", needed=needed, provided=",".join(sorted(self.scopes)))

    def _auth_test(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"url": "https://acme.slack.com/", "team": "Acme", "user": "trendbreak", "user_id": BOT_USER}

    def _chat_post_message(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, for_writing=True)
        thread_ts = arguments.get("thread_ts")
        if thread_ts is not None and not any(m["ts"] == thread_ts for m in self.messages[channel.id]):
            raise SlackRefusalError("thread_not_found")
        message = self._check_message(arguments)
        ts = self._next_ts()
        stored = {"type": "message", "user": BOT_USER, "bot_id": "B0TEST", "ts": ts, "channel": channel.id, **message}
        if thread_ts is not None:
            stored["thread_ts"] = thread_ts
        self.messages[channel.id].append(stored)
        return {"channel": channel.id, "ts": ts, "message": _without(stored, "channel")}

    def _chat_update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, for_writing=True, by_id=True)
        stored = next((m for m in self.messages[channel.id] if m["ts"] == arguments.get("ts")), None)
        if stored is None:
            raise SlackRefusalError("message_not_found")
        message = self._check_message(arguments)
        if "metadata" not in message and "metadata" in stored:
            message["metadata"] = stored["metadata"]
        if "blocks" not in message:
            stored.pop("blocks", None)
        stored.update(message)
        stored["edited"] = {"user": BOT_USER, "ts": self._next_ts()}
        self.edits.append({"channel": channel.id, "ts": stored["ts"], **message})
        return {"channel": channel.id, "ts": stored["ts"], "text": stored["text"], "message": dict(stored)}

    def _chat_post_ephemeral(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, for_writing=True)
        self.whispers.append({"channel": channel.id, "user": arguments["user"], "text": arguments["text"]})
        return {"message_ts": self._next_ts()}

    def _apps_connections_open(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.open_socket is None:
            raise SlackRefusalError("internal_error")
        return {"url": self.open_socket()}

    def _conversations_history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, by_id=True)
        if not channel.is_member:
            raise SlackRefusalError("not_in_channel")
        visible = [m for m in self._visible(channel, arguments) if m.get("thread_ts", m["ts"]) == m["ts"]]
        return self._page(list(reversed(visible)), "messages", arguments)

    def _conversations_replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, by_id=True)
        if not channel.is_member:
            raise SlackRefusalError("not_in_channel")
        ts = arguments.get("ts")
        if not any(m["ts"] == ts for m in self.messages[channel.id]):
            raise SlackRefusalError("thread_not_found")
        in_range = self._visible(channel, arguments)
        # The parent comes with every answer, whatever `oldest` says.
        parent = [_shown(m, arguments) for m in self.messages[channel.id] if m["ts"] == ts]
        return self._page(
            parent + [m for m in in_range if m.get("thread_ts") == ts and m["ts"] != ts], "messages", arguments
        )

    def _conversations_list(self, arguments: dict[str, Any]) -> dict[str, Any]:
        types = str(arguments.get("types", "public_channel")).split(",")
        chosen = [
            self._describe(channel)
            for channel in self.channels.values()
            if ("private_channel" if channel.is_private else "public_channel") in types
            and not (channel.is_archived and _is_true(arguments.get("exclude_archived")))
            and (channel.is_member or not channel.is_private)
        ]
        return self._page(chosen, "channels", arguments)

    def _conversations_info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"channel": self._describe(self._channel(arguments, by_id=True))}

    def _conversations_members(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._page(self._channel(arguments, by_id=True).members, "members", arguments)

    def _files_get_upload_urlexternal(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not arguments.get("filename") or int(arguments.get("length", 0)) <= 0:
            raise SlackRefusalError("invalid_arguments")
        file_id = f"F{len(self.files):08d}"
        self.files[file_id] = {
            "id": file_id,
            "name": arguments["filename"],
            "length": int(arguments["length"]),
            "alt_txt": arguments.get("alt_txt"),
            "content": None,
            "completed_at": None,
            "shared_in": [],
        }
        return {"upload_url": f"{self.url}/upload/{file_id}", "file_id": file_id}

    def _files_complete_upload_external(self, arguments: dict[str, Any]) -> dict[str, Any]:
        done: list[dict[str, Any]] = []
        for item in json.loads(arguments["files"]):
            file = self.files.get(item["id"])
            if file is None or file["content"] is None or len(file["content"]) != file["length"]:
                raise SlackRefusalError("file_not_found")
            file.update(completed_at=time.time(), title=item.get("title"))
            if arguments.get("channel_id"):
                channel = self._channel({"channel": arguments["channel_id"]}, for_writing=True, by_id=True)
                file["shared_in"].append(channel.id)
                stored = {
                    "type": "message",
                    "subtype": "file_share",
                    "user": BOT_USER,
                    "ts": self._next_ts(),
                    "channel": channel.id,
                    "text": arguments.get("initial_comment", ""),
                    "files": [{"id": file["id"], "name": file["name"], "title": file["title"]}],
                }
                if arguments.get("thread_ts"):
                    stored["thread_ts"] = arguments["thread_ts"]
                self.messages[channel.id].append(stored)
            # mimetype stays empty until Slack has looked at the file
            done.append({"id": file["id"], "title": file["title"], "mimetype": "", "filetype": ""})
        return {"files": done}

    def _files_info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        file = self.files.get(arguments.get("file", ""))
        if file is None:
            raise SlackRefusalError("file_not_found")
        return {"file": {"id": file["id"], "mimetype": "image/png" if self._is_ready(file) else ""}}

    def receive_upload(self, file_id: str, content: bytes) -> bool:
        with self.lock:
            if file_id not in self.files:
                return False
            self.files[file_id]["content"] = content
            return True

    # What the methods share

    def _is_ready(self, file: dict[str, Any]) -> bool:
        return file["completed_at"] is not None and time.time() - file["completed_at"] >= self.file_delay_seconds

    def _next_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, int(time.time() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def _channel(self, arguments: dict[str, Any], *, for_writing: bool = False, by_id: bool = False) -> Channel:
        wanted = str(arguments.get("channel", ""))
        for channel in self.channels.values():
            if wanted == channel.id or (not by_id and wanted.removeprefix("#") == channel.name):
                if channel.is_private and not channel.is_member:
                    break
                if for_writing and channel.is_archived:
                    raise SlackRefusalError("is_archived")
                if for_writing and not channel.is_member:
                    raise SlackRefusalError("not_in_channel")
                return channel
        raise SlackRefusalError("channel_not_found")

    def _describe(self, channel: Channel) -> dict[str, Any]:
        return {
            "id": channel.id,
            "name": channel.name,
            "is_channel": True,
            "is_private": channel.is_private,
            "is_archived": channel.is_archived,
            "is_member": channel.is_member,
        }

    def _visible(self, channel: Channel, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        oldest = float(arguments.get("oldest") or 0)
        latest = float(arguments.get("latest") or "inf")
        inclusive = _is_true(arguments.get("inclusive"))
        newest_shown = time.time() - self.history_delay_seconds
        return [
            _shown(m, arguments)
            for m in self.messages[channel.id]
            if float(m["ts"]) <= newest_shown
            and (oldest < float(m["ts"]) < latest or (inclusive and float(m["ts"]) in (oldest, latest)))
        ]

    def _page(self, rows: list[Any], field_name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        limit = min(int(arguments.get("limit") or 100), self.page_limit, 999)
        start = int(str(arguments.get("cursor") or "").removeprefix("next:") or 0)
        has_more = start + limit < len(rows)
        return {
            field_name: rows[start : start + limit],
            "has_more": has_more,
            "response_metadata": {"next_cursor": f"next:{start + limit}" if has_more else ""},
        }

    def _check_message(self, arguments: dict[str, Any]) -> dict[str, Any]:
        blocks = _decode(arguments.get("blocks"))
        text = arguments.get("text") or ""
        if not blocks and not text:
            raise SlackRefusalError("no_text")
        if len(text) > 40_000:
            raise SlackRefusalError("msg_too_long")
        message: dict[str, Any] = {"text": text}
        if blocks is not None:
            if faults := check_blocks(blocks):
                raise SlackRefusalError("invalid_blocks", faults)
            for n, block in enumerate(blocks):
                if block["type"] == "image" and "slack_file" in block:
                    file = self.files.get(block["slack_file"].get("id", ""))
                    if file is None or not self._is_ready(file):
                        raise SlackRefusalError(
                            "invalid_blocks", [f"invalid slack file [json-pointer:/blocks/{n}/slack_file]"]
                        )
            message["blocks"] = blocks
        metadata = _decode(arguments.get("metadata"))
        if metadata is not None:
            if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
                raise SlackRefusalError("invalid_metadata_format")
            message["metadata"] = metadata
        return message


def _shown(message: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    shown = _without(message, "channel")
    if not _is_true(arguments.get("include_all_metadata")) and "metadata" in shown:
        shown["metadata"] = {"event_type": shown["metadata"]["event_type"]}
    return shown


def _without(message: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != name}


def _is_true(value: Any) -> bool:
    return value in (True, 1, "1", "true", "True")


def _decode(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value else value or None


# Limits from https://docs.slack.dev/reference/block-kit

_TEXT_LIMITS = {"header": 150, "section": 3000}
_ALLOWED = {
    "header": {"type", "text", "block_id"},
    "section": {"type", "text", "fields", "accessory", "block_id", "expand"},
    "context": {"type", "elements", "block_id"},
    "image": {"type", "image_url", "slack_file", "alt_text", "title", "block_id"},
    "rich_text": {"type", "elements", "block_id"},
    "actions": {"type", "elements", "block_id"},
    "divider": {"type", "block_id"},
}


def check_blocks(blocks: Any) -> list[str]:
    """What Slack would refuse, as it words it; empty when all is well."""
    faults: list[str] = []
    if not isinstance(blocks, list):
        return ["must be an array"]
    if len(blocks) > 50:
        faults.append("no more than 50 items allowed [json-pointer:/blocks]")
    seen: set[str] = set()
    for n, block in enumerate(blocks):
        where = f"[json-pointer:/blocks/{n}"
        kind = block.get("type")
        if kind not in _ALLOWED:
            faults.append(f"unsupported type: {kind} {where}/type]")
            continue
        faults += [f"invalid additional property: {name} {where}]" for name in set(block) - _ALLOWED[kind]]
        block_id = block.get("block_id")
        if block_id is not None and (len(block_id) > 255 or block_id in seen):
            faults.append(f"bad block_id {where}/block_id]")
        seen.add(block_id or str(n))
        faults += _check_block(kind, block, where)
    return faults


def _check_block(kind: str, block: dict[str, Any], where: str) -> Iterator[str]:
    if kind == "header":
        yield from _check_text(block.get("text"), 150, f"{where}/text", ("plain_text",))
    elif kind == "section":
        if "text" not in block and not block.get("fields"):
            yield f"must have text or fields {where}]"
        if "text" in block:
            yield from _check_text(block["text"], 3000, f"{where}/text")
        if len(block.get("fields") or []) > 10:
            yield f"no more than 10 items allowed {where}/fields]"
        for m, item in enumerate(block.get("fields") or []):
            yield from _check_text(item, 2000, f"{where}/fields/{m}")
    elif kind == "context":
        if not 1 <= len(block.get("elements") or []) <= 10:
            yield f"1 to 10 items allowed {where}/elements]"
        for m, item in enumerate(block.get("elements") or []):
            if item.get("type") != "image":
                yield from _check_text(item, 3000, f"{where}/elements/{m}")
    elif kind == "image":
        if not block.get("alt_text") or len(block["alt_text"]) > 2000:
            yield f"must be 1 to 2000 characters {where}/alt_text]"
        if ("image_url" in block) == ("slack_file" in block):
            yield f"exactly one of image_url and slack_file {where}]"
    elif kind == "rich_text":
        for m, part in enumerate(block.get("elements") or []):
            if part.get("type") not in (
                "rich_text_section",
                "rich_text_preformatted",
                "rich_text_list",
                "rich_text_quote",
            ):
                yield f"unsupported type {where}/elements/{m}]"
            for item in part.get("elements") or []:
                if item.get("type") == "text" and not item.get("text"):
                    yield f"must be more than 0 characters {where}/elements/{m}]"
    elif kind == "actions":
        yield from _check_actions(block.get("elements") or [], where)


def _check_actions(elements: list[dict[str, Any]], where: str) -> Iterator[str]:
    if not 1 <= len(elements) <= 25:
        yield f"1 to 25 items allowed {where}/elements]"
    if len({element.get("action_id") for element in elements}) != len(elements):
        yield f"`action_id` must be unique {where}/elements]"
    for m, element in enumerate(elements):
        spot = f"{where}/elements/{m}"
        if len(element.get("action_id") or "") > 255:
            yield f"must be less than 256 characters {spot}/action_id]"
        if element["type"] == "button":
            yield from _check_text(element.get("text"), 75, f"{spot}/text", ("plain_text",))
            if len(element.get("value") or "") > 2000:
                yield f"must be less than 2001 characters {spot}/value]"
        elif element["type"] == "static_select":
            if not 1 <= len(element.get("options") or []) <= 100:
                yield f"1 to 100 items allowed {spot}/options]"
            for option in element.get("options") or []:
                yield from _check_text(option.get("text"), 75, f"{spot}/options", ("plain_text",))
                if not 1 <= len(option.get("value") or "") <= 150:
                    yield f"must be 1 to 150 characters {spot}/options/value]"
        elif element["type"] != "datepicker":
            yield f"unsupported type: {element['type']} {spot}/type]"


def _check_text(text: Any, limit: int, where: str, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"must be one of {', '.join(kinds)} {where}]"
    elif not isinstance(text.get("text"), str) or not text["text"]:
        yield f"must be more than 0 characters {where}/text]"
    elif len(text["text"]) > limit:
        yield f"must be less than {limit + 1} characters {where}/text]"
    elif text["type"] == "plain_text" and "verbatim" in text:
        yield f"invalid additional property: verbatim {where}]"
    elif text["type"] == "mrkdwn" and "emoji" in text:
        yield f"invalid additional property: emoji {where}]"


@contextlib.contextmanager
def serve(server: SlackServer | None = None, *, port: int = 0) -> Iterator[SlackServer]:
    """The server on a port of 127.0.0.1, for the length of the block."""
    slack = server or SlackServer()

    class Handler(_Handler):
        state = slack

    http = _Server(("127.0.0.1", port), Handler)
    slack.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    state: SlackServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def do_POST(self) -> None:
        with self.state.lock:
            self.state.active += 1
        try:
            self._handle_post()
        finally:
            with self.state.lock:
                self.state.active -= 1

    def _handle_post(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.startswith("/upload/"):
            found = self.state.receive_upload(path.rsplit("/", 1)[1], body)
            self._reply(200 if found else 404, b"OK", content_type="text/plain")
            return
        method = path.removeprefix("/api/")
        arguments = self._arguments(body)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or arguments.pop("token", None)
        if self.state.latency_seconds:
            time.sleep(self.state.latency_seconds)
        with self.state.lock:
            queue = self.state.faults.get(method) or []
            fault = queue.pop(0) if queue else self.state.fault_for_ever.get(method)
            fault = fault or self.state.fault_for_ever.get("*")
        if fault is None:
            self._reply_json(self.state.answer(method, arguments, token))
            return
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        is_done = fault.kind in ("slow", "stored_slow", "stored_drop", "stored_status")
        answer = self.state.answer(method, arguments, token) if is_done else {"ok": False, "error": fault.error}
        if not is_done:
            with self.state.lock:
                self.state.calls.append(Call(f"{method} ({fault.kind})", arguments, time.time()))
        if fault.kind in ("drop", "stored_drop"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if fault.kind == "stored_slow":
            time.sleep(fault.seconds)
        if fault.kind in ("status", "stored_status"):
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            content = json.dumps({"ok": False, "error": "ratelimited"}) if fault.status == 429 else "<html>down</html>"
            self._reply(fault.status, content.encode(), headers=headers)
        else:
            self._reply_json(answer)

    def _arguments(self, body: bytes) -> dict[str, Any]:
        if "application/json" in (self.headers.get("Content-Type") or ""):
            return json.loads(body or b"{}")
        query = dict(parse_qsl(urlsplit(self.path).query))
        return {**query, **dict(parse_qsl(body.decode(), keep_blank_values=True))}

    def _reply_json(self, answer: dict[str, Any]) -> None:
        self._reply(200, json.dumps(answer).encode(), content_type="application/json; charset=utf-8")

    def _reply(
        self, status: int, content: bytes, *, content_type: str = "text/html", headers: dict[str, str] | None = None
    ) -> None:
        with contextlib.suppress(OSError):  # the client may be gone
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.send_header("X-OAuth-Scopes", ",".join(sorted(self.state.scopes)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)


def main() -> None:
    """A local Slack to look at: `python -m tests.servers.slack`."""
    with serve() as slack:
        print(f"base_url: {slack.base_url}  token: {slack.token}  channel: #ai-costs")
        threading.Event().wait()


if __name__ == "__main__":
    main()
