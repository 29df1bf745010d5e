"""The part that all stub providers share: a JSON API in a thread, with faults on demand.

A stub is written from the provider's documented schema, never from the connector. It is stateful:
tests change its bills, its manners and its faults between requests.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Fault:
    """What one request meets instead of its answer.

    status: an HTTP error, with `headers` and `body`; "reset": the connection is reset; "cut": the
    body ends early; "garbage": status 200 and `body` that is no JSON; "silence": no answer for `seconds`.
    """

    kind: str = "status"
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    body: str = '{"error": {"message": "stub fault", "type": "server_error"}}'
    seconds: float = 0.0


@dataclass(frozen=True)
class Request:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""


class RefusalError(Exception):
    """An HTTP error of the provider's own making."""

    def __init__(self, status: int, body: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


@dataclass
class JsonApi:
    """A stub provider. Subclasses answer in `answer(request)` with a JSON-ready object, bytes, or a RefusalError.

    `rng` decides page sizes, the order of fields and how a decimal is written; the same seed gives
    the same manners.
    """

    rng: random.Random = field(default_factory=lambda: random.Random(0))
    faults: list[Fault] = field(default_factory=list)  # the next requests meet these, in order
    fault_for_ever: Fault | None = None
    fault_paths: str = ""  # faults meet only paths that contain this text
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    vary: bool = True  # manners: field order, absent nulls, decimals as text

    def answer(self, request: Request) -> Any:
        raise NotImplementedError

    def write_decimal(self, number: Decimal) -> Any:
        """As a JSON number or as a text, as providers do."""
        if self.vary and self.rng.random() < 0.5:
            return str(number)
        return _Number(format(number, "f"))

    def vary_record(self, record: dict[str, Any], *, optional: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The record in another order, some of its nulls left out."""
        items = list(record.items())
        if self.vary:
            self.rng.shuffle(items)
            items = [(k, v) for k, v in items if v is not None or k not in optional or self.rng.random() < 0.5]
        return dict(items)

    def pick_page_size(self, largest: int) -> int:
        return self.rng.randint(1, max(1, largest)) if self.vary else largest


class _Number(float):
    """A decimal whose text reaches the wire digit for digit."""

    def __new__(cls, text: str) -> _Number:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    def __repr__(self) -> str:
        return self.text


def _dump(value: Any) -> str:
    # The C encoder would write a float subclass by float.__repr__, and lose digits.
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_dump, value)) + "]"
    return value.text if isinstance(value, _Number) else json.dumps(value)


@contextmanager
def serve(api: JsonApi) -> Iterator[JsonApi]:
    """The stub on a free port of this machine; `api.url` is its address."""

    class Handler(_Handler):
        stub = api

    server = _Server(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hung up; the test sees what matters


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for a delayed ACK between header and body
    stub: JsonApi

    def do_GET(self) -> None:
        self._meet(b"")

    def do_POST(self) -> None:
        self._meet(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _meet(self, sent: bytes) -> None:
        parts = urlsplit(self.path)
        stub = self.stub
        request = Request(parts.path, parse_qs(parts.query), {k.lower(): v for k, v in self.headers.items()}, sent)
        stub.requests.append(request)
        if stub.fault_paths in parts.path and (stub.faults or stub.fault_for_ever):
            fault = stub.faults.pop(0) if stub.faults else stub.fault_for_ever
            if fault is not None:
                self._misbehave(fault)
                return
        headers: tuple[tuple[str, str], ...] = ()
        try:
            answer = stub.answer(request)
            status, body = 200, answer if isinstance(answer, bytes) else _dump(answer).encode()
        except RefusalError as refusal:
            status, body, headers = refusal.status, json.dumps(refusal.body).encode(), refusal.headers
        self._send(status, body, (("Content-Type", "application/json"), *headers))

    def _send(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _misbehave(self, fault: Fault) -> None:
        body = fault.body.encode()
        if fault.kind == "status":
            self._send(fault.status, body, fault.headers)
        elif fault.kind == "garbage":
            self._send(200, body, ())
        elif fault.kind == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b'{"data": [')
            self.close_connection = True
        elif fault.kind == "reset":
            # SO_LINGER 0: close() sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault.kind == "silence":
            threading.Event().wait(fault.seconds)
            self.close_connection = True
        else:
            raise ValueError(fault.kind)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def group_by(request: Request, allowed: frozenset[str]) -> list[str]:
    """The group_by of a request in either spelling. Unknown ones are refused, as providers do."""
    groups = request.query.get("group_by[]", []) + request.query.get("group_by", [])
    for group in groups:
        if group not in allowed:
            raise RefusalError(
                400, {"error": {"message": f"invalid group_by: {group}", "type": "invalid_request_error"}}
            )
    return groups
