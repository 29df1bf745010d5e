"""The Prefect server of one run ends with the run, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from flows.errors import FlowError
from flows.serving.brief_server import check_named_server
from tests.servers.json_api import Fault, JsonApi, serve

SCRIPT = """
import sys, time
from pathlib import Path
from flows.serving import brief_server
server = brief_server.start(Path(sys.argv[1]))
server.wait_until_healthy()
print(server.url, flush=True)
time.sleep(600)
"""


@pytest.mark.faults
def test_a_killed_run_leaves_no_server(tmp_path: Path) -> None:
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert httpx.get(f"{url}/health", timeout=30).status_code == httpx.codes.OK
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/health", timeout=5)
        except httpx.HTTPError:
            return
        time.sleep(0.2)
    raise AssertionError(f"{url} still answers")


def test_a_named_server_that_is_not_there_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(FlowError, match=r"PREFECT_API_URL: no Prefect server answers at .*:9/api .*--direct"):
        check_named_server()
    with serve(JsonApi()) as api:  # one that wants to know who asks is there
        api.fault_for_ever = Fault(status=401)
        monkeypatch.setenv("PREFECT_API_URL", f"{api.url}/api/")
        check_named_server()
