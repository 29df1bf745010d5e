"""Socket Mode of the local Slack: a real WebSocket that sends envelopes and takes acknowledgements.

From https://docs.slack.dev/apis/events-api/using-socket-mode: `hello` first, then envelopes, each to be
acknowledged by its envelope_id within three seconds; Slack may refresh a connection at any time.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.servers.slack import SlackServer

_NUMBERS = itertools.count(1)


class SocketGate:
    """The connections of one app, and what it acknowledged when."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.connected = threading.Condition()
        self.opened = 0
        self.acks: dict[str, float] = {}  # envelope_id → seconds from sending to acknowledgement
        self.sent_at: dict[str, float] = {}
        self._unacknowledged: dict[str, tuple[ServerConnection, str]] = {}

    def handle(self, connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "hello", "num_connections": 1}))
        with self.connected:
            self.connections.append(connection)
            self.opened += 1
            self.connected.notify_all()
        with suppress(ConnectionClosed):
            for text in connection:
                envelope_id = json.loads(text)["envelope_id"]
                with self.connected:
                    self._unacknowledged.pop(envelope_id, None)
                    self.acks.setdefault(envelope_id, time.monotonic() - self.sent_at[envelope_id])
                    self.connected.notify_all()
        with self.connected:
            self.connections.remove(connection)
            self.connected.notify_all()
            lost = [key for key, (sent_on, _) in self._unacknowledged.items() if sent_on is connection]
        # What the app did not acknowledge before the connection went away, Slack sends again on the next one.
        for envelope_id in lost:
            self._transmit(envelope_id, self._unacknowledged[envelope_id][1])

    def wait_for_connection(self, *, opened: int = 1, seconds: float = 10) -> None:
        with self.connected:
            assert self.connected.wait_for(lambda: self.opened >= opened and self.connections, seconds)

    def send(self, payload: dict[str, Any], *, envelope_id: str | None = None) -> str:
        """One interactive envelope to the newest connection."""
        envelope_id = envelope_id or f"envelope-{next(_NUMBERS)}"
        envelope = {"envelope_id": envelope_id, "type": "interactive", "accepts_response_payload": True}
        self._transmit(envelope_id, json.dumps({**envelope, "payload": payload}))
        return envelope_id

    def _transmit(self, envelope_id: str, text: str) -> None:
        with self.connected:
            if not self.connected.wait_for(lambda: self.connections, 10):
                return  # the app has gone for good
            connection = self.connections[-1]
            self.sent_at[envelope_id] = time.monotonic()
            self._unacknowledged[envelope_id] = (connection, text)
        with suppress(ConnectionClosed):  # noticed above
            connection.send(text)

    def wait_for_ack(self, envelope_id: str, *, seconds: float = 15) -> float:
        """How long the app took since the envelope was last sent; Slack wants less than three seconds."""
        with self.connected:
            assert self.connected.wait_for(lambda: envelope_id in self.acks, seconds), "not acknowledged in time"
            return self.acks[envelope_id]

    def drop(self) -> None:
        """The network goes away under all connections."""
        with self.connected:
            connections = list(self.connections)
        for connection in connections:
            connection.socket.close()

    def refresh(self) -> None:
        """Slack asks for a new connection, as it does every few hours."""
        with self.connected:
            connections = list(self.connections)
        for connection in connections:
            connection.send(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))


def make_click(
    *,
    action_id: str,
    block_id: str,
    channel_id: str,
    message_ts: str,
    user_id: str = "U012AB3CD",
    user_name: str = "maya",
    action_ts: str | None = None,
    **action: Any,
) -> dict[str, Any]:
    """The payload of a click on a block element."""
    return {
        "type": "block_actions",
        "user": {"id": user_id, "username": user_name, "name": user_name, "team_id": "T0TEST"},
        "container": {"type": "message", "message_ts": message_ts, "channel_id": channel_id, "is_ephemeral": False},
        "trigger_id": "1.2.3",
        "channel": {"id": channel_id, "name": "ai-costs"},
        "actions": [
            {
                "action_id": action_id,
                "block_id": block_id,
                "action_ts": action_ts or f"{time.time():.6f}",
                **action,
            }
        ],
    }


@contextmanager
def open_gate(slack: SlackServer) -> Iterator[SocketGate]:
    """Socket Mode for the local Slack, for the length of the block."""
    gate = SocketGate()
    server: Server = serve(gate.handle, "127.0.0.1", 0, close_timeout=0.2)
    port = server.socket.getsockname()[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    slack.open_socket = lambda: f"ws://127.0.0.1:{port}/link/?ticket=test&app_id=A0TEST"
    try:
        yield gate
    finally:
        slack.open_socket = None
        server.shutdown()
        thread.join()
