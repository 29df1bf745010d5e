"""Langfuse exports: which observations are calls, what their usage means, scores as outcomes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.calls.projection import Projection
from connectors.langfuse import Langfuse, LangfuseOptions
from connectors.langfuse.parse import read_tokens
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.events.test_events import WINDOW
from tests.connectors.in_warehouse import NOW, ingest, opened
from warehouse.build import build
from warehouse.features import parse_features

GENERATION = {
    "id": "o1",
    "trace_id": "tr1",
    "type": "GENERATION",
    "start_time": "2026-01-05 09:30:00.250000",
    "end_time": "2026-01-05 09:30:01.500000",
    "provided_model_name": "gpt-5-mini",
    "usage_details": {"input": 100, "output": 20, "total": 120},
    "total_cost": 0.01,
    "tags": ["feature:support_chat"],
    "user_id": "u1",
    "metadata": {},
}
SCORE = {
    "id": "s1",
    "trace_id": "tr1",
    "name": "resolved",
    "timestamp": "2026-01-07 10:00:00.000000",
    "data_type": "CATEGORICAL",
    "string_value": "yes",
    "value": None,
}


def read(folder: Path, *rows: dict[str, Any], **options: Any) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    ledger = Ledger(folder / "landed")
    settings = LangfuseOptions.model_validate({"location": str(folder / "log"), **options})
    ledger.run(Langfuse(name="langfuse", options=settings), WINDOW)
    return [(layout, row) for _, layout, row in ledger.rows], ledger.notes


def test_a_generation_becomes_a_call(tmp_path: Path) -> None:
    [(layout, call)], _ = read(tmp_path, GENERATION, user_hash_key="k")
    assert layout == "calls"
    assert call["called_at"] == datetime(2026, 1, 5, 9, 30, 0, 250_000, UTC)
    assert (call["provider"], call["model"], call["feature"], call["task_id"]) == (
        "openai",
        "gpt-5-mini",
        "support_chat",
        "tr1",
    )
    assert (call["input_tokens"], call["output_tokens"], call["latency_ms"]) == (100, 20, 1250)
    assert call["logged_cost_usd"] == Decimal("0.01")
    assert len(call["user_hash"]) == 32


def test_what_is_around_a_call_is_no_call(tmp_path: Path) -> None:
    rows = [
        {**GENERATION, "id": "agent", "type": "AGENT"},
        {**GENERATION, "id": "chain", "parent_observation_id": "agent"},  # the framework's own generation
        {**GENERATION, "id": "llm", "parent_observation_id": "chain"},  # the SDK's, of the same request
        {"id": "tr1", "timestamp": "2026-01-05 09:30:00", "name": "a trace", "tags": []},
    ]
    found, notes = read(tmp_path, *rows)
    assert len(found) == 1
    assert "2 left out: spans around calls, which are no calls themselves" in notes
    assert "1 left out: records that are no calls to a model" in notes


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input": 100, "output": 20, "total": 120}, (100, None, None, 20, None)),
        ({"input": 30, "input_cached_tokens": 70, "output": 20, "total": 120}, (30, 70, None, 20, None)),
        # the total shows that input includes the cached part, and output the reasoning
        (
            {"input": 100, "cache_read_input_tokens": 70, "output": 20, "output_reasoning": 5, "total": 120},
            (30, 70, None, 15, 5),
        ),
        ({"input": 30, "cache_creation_input_tokens": 9, "output": 2}, (30, None, 9, 2, None)),
        ({"input": "30", "output": 2.0}, (30, None, None, 2, None)),
        ({"input": 30, "output": 2, "total": 77}, (None,) * 5),
        ({"images": 2}, (None,) * 5),
        (None, (None,) * 5),
    ],
)
def test_usage_details(usage: Any, expected: tuple[int | None, ...]) -> None:
    assert tuple(read_tokens(usage, Projection(None)).values()) == expected


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "yes"),
        ({"data_type": "BOOLEAN", "string_value": "True", "value": 1}, "true"),
        ({"data_type": "BOOLEAN", "string_value": None, "value": 0.0}, "false"),
        ({"data_type": "NUMERIC", "string_value": None, "value": 0.5}, "0.5"),
        ({"data_type": "CATEGORICAL", "string_value": None, "value": "resolved"}, "resolved"),
        ({"data_type": "NUMERIC", "string_value": None, "value": "NaN"}, None),
        ({"name": "toxicity"}, None),
    ],
)
def test_scores_are_outcomes(tmp_path: Path, changes: dict[str, Any], outcome: str | None) -> None:
    found, _ = read(tmp_path, {**SCORE, **changes}, outcome_score="resolved")
    assert [(layout, row["task_id"], row["outcome"]) for layout, row in found] == (
        [("outcomes", "tr1", outcome)] if outcome else []
    )


def test_metadata_names_what_the_row_does_not(tmp_path: Path) -> None:
    metadata = json.dumps({"ls_provider": "azure", "task_id": "job-1", "attempt": 2, "response_id": "resp_9"})
    row = {**GENERATION, "metadata": metadata, "tags": ["feature:a", "feature:b"], "level": "ERROR"}
    [(_, call)], notes = read(tmp_path, row)
    assert (call["provider"], call["task_id"], call["attempt"], call["response_id"]) == ("azure", "job-1", 2, "resp_9")
    assert (call["feature"], call["status"]) == (None, "error")
    assert "1 of 1 calls: several features are named: the feature is unknown" in notes


def test_prompts_never_reach_disk(tmp_path: Path) -> None:
    secret = "canary-prompt-23"
    found, notes = read(
        tmp_path,
        {**GENERATION, "input": secret, "output": [secret], "metadata": {"note": secret}},
        {**SCORE, "comment": secret},
        outcome_score="resolved",
    )
    assert len(found) == 2
    assert any("input (1×)" in note for note in notes)
    assert not any(secret.encode() in path.read_bytes() for path in (tmp_path / "landed").rglob("*.*"))


def test_the_tier_of_the_answer_comes_before_what_was_asked_for(tmp_path: Path) -> None:
    asked = {**GENERATION, "model_parameters": {"service_tier": "priority"}}
    [(_, call)], _ = read(tmp_path, asked)
    assert call["pricing_tier"] == "priority"
    answered = {"response_metadata": {"service_tier": "default"}}
    [(_, call)], _ = read(tmp_path, {**asked, "metadata": answered})
    assert call["pricing_tier"] == "standard"


def test_scores_join_the_tasks_of_their_traces(tmp_path: Path) -> None:
    """Tasks have ids of their own: two traces are one task's, one trace holds two tasks, one is a task itself."""
    rows = [
        {**GENERATION, "id": "o1", "trace_id": "tr1", "metadata": {"task_id": "job-1"}},
        {**GENERATION, "id": "o2", "trace_id": "tr2", "metadata": {"task_id": "job-1", "attempt": 2}},
        {**GENERATION, "id": "o3", "trace_id": "tr3", "metadata": {"task_id": "job-2"}},
        {**GENERATION, "id": "o4", "trace_id": "tr3", "metadata": {"task_id": "job-3"}},
        {**GENERATION, "id": "o5", "trace_id": "tr4"},
    ]
    scores = [
        {**SCORE, "id": "s1", "trace_id": "tr1", "string_value": "no"},
        # the score was changed later, and the export holds both versions
        {**SCORE, "id": "s1", "trace_id": "tr1", "updated_at": "2026-01-08 10:00:00"},
        {**SCORE, "id": "s2", "trace_id": "tr2", "string_value": "no", "timestamp": "2026-01-06 10:00:00"},
        {**SCORE, "id": "s3", "trace_id": "tr3"},
        {**SCORE, "id": "s4", "trace_id": "tr4"},
        {**SCORE, "id": "s5", "trace_id": "tr9"},
    ]
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "observations.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    (folder / "scores.jsonl").write_text("".join(json.dumps(one) + "\n" for one in scores))
    options = LangfuseOptions.model_validate({"location": str(folder), "outcome_score": "resolved"})
    with opened(tmp_path / "home") as wh:
        ingest(wh, tmp_path / "home", Langfuse(name="langfuse", options=options), WINDOW)
        features = parse_features("version: 1\nfeatures: {support_chat: {success: {outcomes: ['yes']}}}")
        build(wh, features=features, run_id="r", now=NOW, as_of=NOW.date(), settled_through={})
        tasks = wh.con.execute("SELECT task_id, outcome FROM staging.tasks ORDER BY ALL").fetchall()
        assert tasks == [("job-1", "yes"), ("job-2", None), ("job-3", None), ("tr4", "yes")]
        counts = "SELECT sum(tasks), sum(tasks_with_outcome), sum(successful_tasks) FROM marts.unit_economics_daily"
        assert wh.con.execute(counts).fetchall() == [(4, 2, 2)]
        issues = "SELECT issue, occurrences FROM ops.telemetry_issues WHERE issue LIKE 'outcome%' ORDER BY ALL"
        assert wh.con.execute(issues).fetchall() == [("outcome_for_several_tasks", 1), ("outcome_for_unknown_task", 1)]


def test_a_trace_that_is_no_identifier_does_not_lose_its_call(tmp_path: Path) -> None:
    [(_, call)], notes = read(tmp_path, {**GENERATION, "trace_id": "t" * 300, "metadata": {}})
    assert (call["task_id"], call["trace_id"]) == (None, None)
    assert "1 of 1 calls: a trace or session that is no identifier: no task_id" in notes
