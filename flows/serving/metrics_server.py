"""/metrics and /healthz of `trendbreak serve`, in a thread of its own."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from flows.commands.incidents import open_state
from flows.errors import FlowError
from flows.run import Home
from flows.serving.metrics import collect, render
from flows.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def start_metrics_server(settings: Settings, *, prefect_url: str) -> ThreadingHTTPServer:
    """Listen until the process ends. Raises FlowError when the port is taken.

    /metrics is collected anew at each scrape. /healthz is 200 while the Prefect API at `prefect_url` is healthy, else
    503: without it the process lives and runs nothing.
    """
    home, state = Home(settings.home), open_state(settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, render(collect(home, state)), CONTENT_TYPE)
            elif self.path == "/healthz":
                is_healthy = _is_healthy(prefect_url)
                self._answer(200 if is_healthy else 503, "ok\n" if is_healthy else "the Prefect API does not answer\n")
            else:
                self._answer(404, "/metrics or /healthz\n")

        def _answer(self, status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are no news."""

    address = (settings.metrics.host, settings.metrics.port or 0)
    try:
        server = ThreadingHTTPServer(address, Handler)
    except OSError as error:
        raise FlowError(f"metrics.port {address[1]} on {address[0]}: {error.strerror} — choose another") from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
