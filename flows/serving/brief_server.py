"""A Prefect server that lives as long as one run.

Prefect would start one itself, after it has imported all of its server into this process too, and wait: 5 s of CPU,
and the other core idle. Here it starts first, and what the flow needs is imported while it does.
"""

from __future__ import annotations

import atexit
import http.client
import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from flows.errors import FlowError
from flows.serving import prefect_home

HEALTH_TIMEOUT_SECONDS = 120
NAMED_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 10
# It ends with the process that started it, however that ends: then nobody holds the other end of its stdin. The port
# is open before it is there to answer: who asks too early waits, and nobody else can have taken it.
_SERVE = """
import os, socket, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
import uvicorn
config = uvicorn.Config(
    "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on", timeout_graceful_shutdown=5
)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""
# What Prefect tells a server that it starts for one process: no page, and none of the services for schedules.
_BRIEF = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


class BriefServer:
    """A starting server; `url` is its API. Make it before Prefect is imported, which reads PREFECT_API_URL once."""

    def __init__(self, home: Path) -> None:
        self._log = home / "server.log"
        with socket.create_server(("127.0.0.1", 0)) as listening, self._log.open("ab") as log:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_BRIEF},
                pass_fds=[listening.fileno()],
                start_new_session=True,  # Ctrl-C is for the run, which has something left to tell the server
            )
        os.environ["PREFECT_API_URL"] = self.url
        # Made before Prefect registers what it sends when the process ends, and so stopped after it.
        atexit.register(self.stop)

    def wait_until_healthy(self) -> None:
        """Raises FlowError when it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=HEALTH_TIMEOUT_SECONDS):
                return
        except (OSError, urllib.error.URLError) as error:
            raise FlowError(
                f"the Prefect server of this run does not answer ({error}) — see {self._log}; "
                f"`trendbreak run --direct` runs without one"
            ) from error

    def stop(self) -> None:
        end(self._process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server, in peace where it can be."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_named_server() -> None:
    """Raises FlowError where PREFECT_API_URL names a server and nobody answers there: Prefect would by a traceback."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=NAMED_TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError:
        return  # somebody answers, if only to ask who we are
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            return  # somebody answers, whom Prefect may be told to trust
        raise FlowError(
            f"PREFECT_API_URL: no Prefect server answers at {url} ({getattr(error, 'reason', error)}) — start it, or "
            f"unset PREFECT_API_URL; `trendbreak run --direct` needs none"
        ) from error


def start(home: Path) -> BriefServer | None:
    """Start one over the database of the Prefect home `home`; None where the person has a home or server of theirs."""
    return BriefServer(home) if prefect_home.prepare(home) else None
