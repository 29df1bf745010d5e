"""`trendbreak serve`: schedules in one process, with the Prefect server they need.

Without a server, Prefect's own `serve()` looks healthy and never runs anything: so one is started,
and its health awaited, unless PREFECT_API_URL names one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from connectors.errors import ConnectorError
from flows.commands.incidents import listen, open_state
from flows.errors import FlowError, SettingsError
from flows.run import Home
from flows.serving import brief_server, prefect_home
from flows.serving.brief_server import HEALTH_TIMEOUT_SECONDS
from flows.serving.catch_up import catch_up
from flows.serving.deployments import DEPLOYMENTS, Deployment
from flows.serving.liveness import sweep_dead_runs
from flows.serving.metrics_server import start_metrics_server
from flows.settings import Settings, app_token, connect_source, slack_token
from warehouse.store import hold_lock


@contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """The API URL of a healthy Prefect server: the one of PREFECT_API_URL, else one of our own on a free port.

    Raises FlowError when it does not become healthy; its log is in `home/server.log`.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        _wait_until_healthy(url, process=None, hint="PREFECT_API_URL names it: is it running?")
        yield url
        return
    prefect_home.prepare(home)
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--no-ui",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    home.mkdir(parents=True, exist_ok=True)
    log_path = home / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            _wait_until_healthy(url, process=process, hint=f"see {log_path}")
            os.environ["PREFECT_API_URL"] = url
            yield url
        finally:
            os.environ.pop("PREFECT_API_URL", None)
            brief_server.end(process)


def serve(config: Path, settings: Settings, *, say: Callable[[str], None]) -> None:
    """Register every deployment, catch up what was missed, and run what is due, until interrupted.

    Raises SettingsError when a token of Slack is missing; a source's missing secret is said, and stops no other.
    Raises WarehouseLocked where the home is served already: each would run what is due, and answer every click.
    """
    slack_token(settings, os.environ)
    listens = app_token(settings, os.environ) is not None
    for source in settings.sources:
        try:
            connect_source(source, os.environ)
        except (SettingsError, ConnectorError) as error:
            say(f"{source.name} will fail until this is mended: {error}")
    settings.home.mkdir(parents=True, exist_ok=True)
    with (
        hold_lock(settings.home / ".serve.lock", 0, taken="it is served already"),
        prefect_server(settings.home / "prefect") as url,
    ):
        say(f"Prefect API: {url}")
        stop = threading.Event()
        if listens:
            threading.Thread(target=listen, args=(settings,), kwargs={"stop": stop, "say": say}, daemon=True).start()
        if settings.metrics.port is not None:
            start_metrics_server(settings, prefect_url=url)
            say(f"metrics: http://{settings.metrics.host}:{settings.metrics.port}/metrics")
        from prefect import serve as run_deployments

        deployments = [_deployment(one, config, settings) for one in DEPLOYMENTS]
        for dead in sweep_dead_runs(Home(settings.home)):
            say(dead.notice)
        for one, made in zip(DEPLOYMENTS, deployments, strict=True):
            cron, timezone = one.timing(settings)
            say(f"{one.name}: {f'{cron} ({timezone})' if cron else 'by hand'}")
            if one.name == "daily" and cron:
                _catch_up(made, cron, settings, say)
        say("stop with Ctrl-C")
        # Two: a backfill may go on for hours, and gives the warehouse back after every month.
        run_deployments(*deployments, pause_on_shutdown=False, limit=2)


def _deployment(one: Deployment, config: Path, settings: Settings) -> Any:
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType
    from prefect.utilities.importtools import import_object

    cron, timezone = one.timing(settings)
    return import_object(one.entrypoint).to_deployment(
        name=one.name,
        parameters={"config": str(config.resolve())},
        schedule=Cron(cron, timezone=timezone) if cron else None,
        tags=["trendbreak"],
        entrypoint_type=EntrypointType.MODULE_PATH,  # a path would put flows/ first on sys.path
    )


def _catch_up(deployment: Any, cron: str, settings: Settings, say: Callable[[str], None]) -> None:
    """One run now for all that were due while nothing was running."""
    runs = open_state(settings).list_runs()
    said = catch_up(
        deployment.apply(),
        cron=cron,
        timezone=settings.schedule.timezone,
        last_run_at=max((run["started_at"] for run in runs), default=None),
        now=datetime.now(UTC),
    )
    if said:
        say(said)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_healthy(url: str, *, process: subprocess.Popen[bytes] | None, hint: str) -> None:
    deadline = time.monotonic() + HEALTH_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise FlowError(f"the Prefect server stopped with exit code {process.returncode} — {hint}")
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.25)
    raise FlowError(f"the Prefect server at {url} did not become healthy in {HEALTH_TIMEOUT_SECONDS} s — {hint}")
