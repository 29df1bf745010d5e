"""A scheduled run really fires: a `serve()` without a server looks healthy and never runs anything."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import httpx
import pytest

from flows.serving.serve import serve
from flows.settings import Settings
from tests.flows.small_bill import write_small_home
from warehouse.errors import WarehouseLocked
from warehouse.store import hold_lock

TIMEOUT_SECONDS = 240


def test_a_scheduled_run_fires_and_completes(tmp_path: Path) -> None:
    config = write_small_home(tmp_path, schedule='{cron: "* * * * *"}')
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "serve", "--config", str(config)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment | {"PREFECT_LOGGING_LEVEL": "INFO", "PYTHONUNBUFFERED": "1"},
        )
        try:
            runs = wait_for_completed_run(process, log)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert [run["auto_scheduled"] for run in runs] == [True] * len(runs)
    with duckdb.connect(str(tmp_path / "data" / "published" / "trendbreak.duckdb"), read_only=True) as published:
        assert published.execute("SELECT sum(billed_cost) FROM core.charges").fetchone() is not None
        rows = published.execute("SELECT count(*) FROM core.charges").fetchone()
    assert rows is not None
    assert rows[0] > 0


def test_a_home_is_served_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "data")
    settings.home.mkdir()
    with (
        hold_lock(settings.home / ".serve.lock", 0),
        pytest.raises(WarehouseLocked, match=rf"data: it is served already: pid {os.getpid()} "),
    ):
        serve(tmp_path / "trendbreak.yml", settings, say=print)


def wait_for_completed_run(process: subprocess.Popen[bytes], log: Path) -> list[dict[str, object]]:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        found = re.search(r"Prefect API: (\S+)", log.read_text())
        if found:
            answer = httpx.post(
                f"{found.group(1)}/flow_runs/filter",
                json={"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}},
                timeout=10,
            ).json()
            if answer:
                assert {run["state_type"] for run in answer} == {"COMPLETED"}, log.read_text()
                return answer
        time.sleep(1)
    raise AssertionError(f"no scheduled run completed in {TIMEOUT_SECONDS} s:\n{log.read_text()}")
