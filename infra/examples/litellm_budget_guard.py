"""Lower a LiteLLM key's budget when Trendbreak opens a budget incident, and give it back when that is resolved.

An example to adapt, with the standard library only. Trendbreak's side, in trendbreak.yml:

    webhook: {url: "http://guard:8787/", secret: "${TRENDBREAK_WEBHOOK_SECRET}"}

This side: TRENDBREAK_WEBHOOK_SECRET, LITELLM_URL, LITELLM_MASTER_KEY, and GUARDED_KEYS, as JSON:

    {"support_chat": {"key": "sk-…", "normal_budget_usd": 500, "lowered_budget_usd": 50}}

Trendbreak calls at least once: setting a budget twice is harmless, and each carries the state as it is by then.
Each call is signed anew, so a signature that comes twice is a call that somebody recorded and sends again: it is
refused. Signatures older than five minutes are refused too, so that five minutes of them are all there is to remember.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_SECONDS = 300
LARGEST_BODY = 1_000_000


def read_signature(body: bytes, header: str, secret: bytes, *, now: float) -> str | None:
    """The signature of `X-Trendbreak-Signature: t=…,v1=…`, where it signs this body and is fresh; else None."""
    if not header.isascii():
        return None
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    sent = parts.get("t", "")
    if not sent.isdigit() or abs(now - int(sent)) > TOLERANCE_SECONDS:
        return None
    expected = hmac.new(secret, f"{sent}.".encode() + body, hashlib.sha256).hexdigest()
    return expected if hmac.compare_digest(expected, parts.get("v1", "")) else None


def choose_budget(message: dict[str, Any], guarded: dict[str, dict[str, Any]]) -> tuple[str, float] | None:
    """(LiteLLM key, its budget from now on in US dollars); None for a message that asks for nothing."""
    keys = guarded.get(message.get("node", ""))
    if message.get("kind") != "budget" or keys is None:
        return None
    is_over = message.get("status") in ("resolved", "absorbed", "withdrawn")
    return keys["key"], keys["normal_budget_usd" if is_over else "lowered_budget_usd"]


def set_budget(base_url: str, master_key: str, key: str, budget_usd: float) -> None:
    """LiteLLM's POST /key/update."""
    request = urllib.request.Request(
        f"{base_url.rstrip('/')}/key/update",
        data=json.dumps({"key": key, "max_budget": budget_usd}).encode(),
        headers={"Authorization": f"Bearer {master_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=15) as answer:
        answer.read()


class Replays:
    """The signatures of the last minutes. One that is taken once is not taken again."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def is_new(self, signature: str, *, now: float) -> bool:
        with self._lock:
            self._seen = {one: at for one, at in self._seen.items() if now - at <= 2 * TOLERANCE_SECONDS}
            if signature in self._seen:
                return False
            self._seen[signature] = now
            return True


def make_handler(settings: dict[str, Any]) -> type[BaseHTTPRequestHandler]:
    replays = Replays()

    class Guard(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if not length.isdigit() or int(length) > LARGEST_BODY:
                self.send_error(413)
                return
            body, now = self.rfile.read(int(length)), time.time()
            header = self.headers.get("X-Trendbreak-Signature", "")
            signature = read_signature(body, header, settings["secret"].encode(), now=now)
            if signature is None:
                self.send_error(401)
                return
            if not replays.is_new(signature, now=now):  # not the header: it can be written in more than one way
                self.send_error(409, "this call was taken already")
                return
            wanted = choose_budget(json.loads(body)["message"], settings["guarded"])
            try:
                if wanted is not None:
                    set_budget(settings["litellm_url"], settings["master_key"], *wanted)
            except OSError as error:
                # Trendbreak keeps the message and calls again with its next run.
                self.send_error(503, f"LiteLLM: {type(error).__name__}")
                return
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            sys.stderr.write(f"{self.address_string()} {format % arguments}\n")

    return Guard


def main() -> None:
    settings = {
        "secret": os.environ["TRENDBREAK_WEBHOOK_SECRET"],
        "litellm_url": os.environ["LITELLM_URL"],
        "master_key": os.environ["LITELLM_MASTER_KEY"],
        "guarded": json.loads(os.environ["GUARDED_KEYS"]),
    }
    ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8787"))), make_handler(settings)).serve_forever()


if __name__ == "__main__":
    main()
