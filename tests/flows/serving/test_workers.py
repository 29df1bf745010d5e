"""A real Prefect server, `prefect deploy`, a worker: what they do when machines die. Minutes long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from flows.serving.serve import _free_port
from tests.flows.command import trendbreak
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from warehouse.state import StateStore

ROOT = Path(__file__).parents[3]
PREFECT_YAML = ROOT / "infra" / "prefect.yaml"
pytestmark = pytest.mark.faults


def wait_for(what: Callable[[], Any], seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"did not come true in {seconds} s")


@contextmanager
def process(*command: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process group of its own, killed with all it started."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        kill_group(started)


def kill_group(started: subprocess.Popen[bytes]) -> None:
    """kill -9 of the process and everything it started, as when a machine loses power."""
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


class Prefect:
    """A server in a home of its own, reachable as `url`."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        kept = {key: text for key, text in os.environ.items() if not key.startswith(("PREFECT_", "TRENDBREAK_"))}
        self.environment = kept | {
            "PREFECT_HOME": str(folder / "prefect-server"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "TRENDBREAK_CONFIG": str(folder / "trendbreak.yml"),
        }

    def call(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def post(self, path: str, body: dict[str, Any]) -> Any:
        for _ in range(20):  # the server answers 503 while its SQLite is busy
            answer = httpx.post(f"{self.url}{path}", json=body, timeout=60)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1)
        answer.raise_for_status()
        return answer.json()

    def is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def runs(self) -> list[dict[str, Any]]:
        return list(self.post("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"}))

    def start(self, deployment: str, **parameters: Any) -> str:
        found = httpx.get(f"{self.url}/deployments/name/{deployment}", timeout=30).json()
        made = self.post(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def state(self, run_id: str) -> str:
        return str(httpx.get(f"{self.url}/flow_runs/{run_id}", timeout=30).json()["state"]["type"])


def total(folder: Path) -> Any:
    with duckdb.connect(str(folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        return con.execute("SELECT sum(billed_cost) FROM core.charges").fetchall()[0][0]


def expected() -> Decimal:
    return sum((Decimal(line.split(",")[0]) for line in bill_lines(first_day(), 60)[1:]), Decimal(0))


def test_a_machine_that_dies_mid_run_is_swept_and_the_next_runs_are_exact(tmp_path: Path) -> None:
    write_small_home(tmp_path)
    prefect = Prefect(tmp_path)
    server = ("prefect", "server", "start", "--no-ui", "--port", str(prefect.port))
    worker = ("prefect", "worker", "start", "--pool", "trendbreak", "--type", "process")
    log = tmp_path / "log"
    with process(*server, environment=prefect.environment, log=log):
        wait_for(prefect.is_healthy)
        prefect.call("work-pool", "create", "trendbreak", "--type", "process")
        for kind in ("docker", "kubernetes"):
            template = str(ROOT / "infra" / "work_pools" / f"{kind}.json")
            prefect.call("work-pool", "create", f"{kind}-pool", "--type", kind, "--base-job-template", template)
        prefect.call("deploy", "--all", "--prefect-file", str(PREFECT_YAML))
        with process(*worker, environment=prefect.environment, log=log) as dying:
            day = first_day()
            dead = {
                "daily": prefect.start("daily/daily"),
                "backfill": prefect.start(
                    "backfill/backfill",
                    since=str(day), until=str(day + timedelta(days=30)), reason="the machine will die",
                ),
            }  # fmt: skip
            wait_for(lambda: len(list((tmp_path / "data" / "prefect" / "runs").glob("*"))) == 2)
            kill_group(dying)
            for path in kill_flow_processes(tmp_path):
                assert path, "the flow's process must be gone too"
        assert {prefect.state(run) for run in dead.values()} == {"RUNNING"}, "Prefect does not notice by itself"
        with process(*worker, environment=prefect.environment, log=log):
            started = prefect.start("maintenance/maintenance")
            wait_for(lambda: prefect.state(started) in {"COMPLETED", "FAILED", "CRASHED"})
            assert prefect.state(started) == "COMPLETED", log.read_text()[-5000:]
            assert {prefect.state(run) for run in dead.values()} == {"CRASHED"}
            again = [run for run in prefect.runs() if "resumed" in run["tags"]]
            assert sorted(run["deployment_id"] for run in again) == sorted(
                run["deployment_id"] for run in prefect.runs() if run["id"] in dead.values()
            )
            wait_for(lambda: all(prefect.state(run["id"]) in {"COMPLETED", "FAILED"} for run in again))
            assert {prefect.state(run["id"]) for run in again} == {"COMPLETED"}, log.read_text()[-5000:]
    assert total(tmp_path) == expected()
    backfills = StateStore(f"sqlite:///{tmp_path / 'data' / 'state.sqlite'}").list_backfills()
    assert {row["status"] for row in backfills} == {"completed"}


def kill_flow_processes(folder: Path) -> list[int]:
    """The worker starts flows in sessions of their own: find those that hold this home's run files, and kill them."""
    killed = []
    for path in (folder / "data" / "prefect" / "runs").glob("*"):
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                os.kill(int(fields[4]), signal.SIGKILL)
                killed.append(int(fields[4]))
    return killed


def test_serve_catches_a_missed_day_up_by_itself(tmp_path: Path) -> None:
    write_small_home(tmp_path, schedule='{cron: "0 0 * * *"}')
    assert trendbreak("run", "--direct", cwd=tmp_path).returncode == 0
    state = StateStore(f"sqlite:///{tmp_path / 'data' / 'state.sqlite'}")
    (known,) = state.list_runs()
    state.save_run({**known, "started_at": datetime.now(UTC) - timedelta(days=3)})
    lines = bill_lines(first_day(), 60, last_factor=Decimal(2), last_days=1)
    (tmp_path / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    command = ("flows", "serve", "--config", str(tmp_path / "trendbreak.yml"))
    with process(*command, environment=environment, log=tmp_path / "log"):
        exact = sum((Decimal(line.split(",")[0]) for line in lines[1:]), Decimal(0))
        wait_for(lambda: total(tmp_path) == exact)
    assert "one run catches up now" in (tmp_path / "log").read_text()
