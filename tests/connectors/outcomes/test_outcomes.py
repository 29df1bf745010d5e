"""Outcomes: three fields under any names, the rest dropped, nothing where nothing is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.base import Window
from connectors.outcomes import Outcomes, OutcomesOptions
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.events.test_events import WINDOW


def read(folder: Path, *records: Any, **options: Any) -> tuple[list[dict[str, Any]], list[str]]:
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    ledger = Ledger(folder / "landed")
    settings = OutcomesOptions.model_validate({"location": str(folder / "log"), **options})
    ledger.run(Outcomes(name="verdicts", options=settings), Window(WINDOW.start, WINDOW.end))
    assert all(layout == "outcomes" for _, layout, _ in ledger.rows)
    return [row for _, _, row in ledger.rows], ledger.notes


ROW = {"task_id": "t1", "outcome": "resolved", "time": "2026-01-05T09:30:00+02:00"}


def test_an_outcome(tmp_path: Path) -> None:
    [row], notes = read(tmp_path, {**ROW, "comment": "canary-c1"})
    assert row == {"task_id": "t1", "outcome": "resolved", "outcome_at": datetime(2026, 1, 5, 7, 30, tzinfo=UTC)}
    assert notes == ["fields dropped before anything was written: comment (1×)"]
    assert not any(b"canary-c1" in path.read_bytes() for path in (tmp_path / "landed").rglob("*.*"))


def test_other_names_and_other_words(tmp_path: Path) -> None:
    record = {"ticket": {"id": 81}, "resolution": "Solved", "closed_at": "2026-01-05 09:30:00"}
    fields = {"task_id": "ticket.id", "outcome": "resolution", "time": "closed_at"}
    [row], notes = read(tmp_path, record, fields=fields, rename={"Solved": "resolved"})
    assert (row["task_id"], row["outcome"]) == ("81", "resolved")
    assert notes == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task_id": None}, "task_id: missing"),
        ({"time": None}, "time: missing"),
        ({"time": "soon"}, "time: not a time"),
        ({"time": 5}, "time: not a time"),
        ({"task_id": "x" * 300}, "task_id: longer than 256 characters, or not valid Unicode"),
        ({"outcome": {"a": 1}}, "outcome: not a text"),
    ],
)
def test_a_bad_record_is_counted(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    rows, notes = read(tmp_path, ROW, {**ROW, **changes})
    assert len(rows) == 1
    assert notes == [f"rejected 1 of 2 lines: {reason} (line 2)"]


def test_no_outcome_says_nothing_and_is_counted(tmp_path: Path) -> None:
    rows, notes = read(tmp_path, {**ROW, "outcome": None}, {**ROW, "outcome": False})
    assert [row["outcome"] for row in rows] == ["false"]
    assert notes == ["1 records: no outcome yet"]


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="fields"):
        OutcomesOptions.model_validate({"location": str(tmp_path), "fields": {"id": "x"}})
