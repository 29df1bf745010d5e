"""The helper for applications: what it writes is what `events` reads, whoever else writes at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.calls import rules
from connectors.events import emit
from connectors.events.emit import EventLog
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.events.test_events import WINDOW, connect

WRITER = """
import sys
from datetime import datetime, UTC
from connectors.events.emit import EventLog
log = EventLog(sys.argv[1])
for n in range(400):
    assert log.emit(provider="openai", model="gpt-5-nano", feature="f" * 200, task_id=f"{sys.argv[2]}-{n}",
                    input_tokens=n, time=datetime(2026, 1, 5, 12, tzinfo=UTC))
"""


def test_the_fields_are_those_of_the_schema() -> None:
    assert rules.KNOWN - {"time"} == emit.FIELDS


def test_writers_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "log"), str(n)]) for n in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    ledger = Ledger(tmp_path / "landed")
    [parsed] = ledger.run(connect(tmp_path / "log"), WINDOW)
    assert sorted(row["task_id"] for _, _, row in ledger.rows) == sorted(
        f"{w}-{n}" for w in range(4) for n in range(400)
    )
    assert parsed.notes == ()


def test_what_is_emitted_is_what_is_read(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    moment = datetime(2026, 1, 5, 23, 59, tzinfo=UTC)
    assert log.emit(provider="openai", model="m", time=moment, outcome=None, plan="größe\n", gpu_seconds=0.5)
    [path] = (tmp_path / "log").iterdir()
    assert path.name == "2026-01-05.jsonl"
    assert "outcome" not in json.loads(path.read_text())
    ledger = Ledger(tmp_path / "landed")
    ledger.run(connect(tmp_path / "log"), WINDOW)
    [(_, _, row)] = ledger.rows
    assert (row["called_at"], row["plan"], row["gpu_seconds"]) == (moment, "größe\n", 0.5)


def test_no_prompt_slips_in_and_no_naive_time(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    with pytest.raises(TypeError, match="prompt"):
        log.emit(provider="openai", model="m", prompt="a secret")
    with pytest.raises(ValueError, match="zone"):
        log.emit(provider="openai", model="m", time=datetime(2026, 1, 5))  # noqa: DTZ001
    assert list((tmp_path / "log").iterdir()) == []


def test_a_disk_that_cannot_be_written_breaks_nothing(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    (tmp_path / "log").rmdir()
    assert not log.emit(provider="openai", model="m")
    assert log.lost == 1
