"""GenAI spans: old and new names, what is a call and what surrounds one, and where the team's own fields stand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.otel import Otel, OtelOptions
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.events.test_events import WINDOW
from tests.connectors.otel.spans import line, span

START = datetime(2026, 1, 5, 9, 30, 0, 123456, UTC)
NEW = {
    "gen_ai.provider.name": "openai",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 600,
    "gen_ai.usage.cache_write.input_tokens": 100,
    "gen_ai.usage.output_tokens": 90,
    "gen_ai.usage.reasoning.output_tokens": 30,
}
OLD = {
    "gen_ai.system": "openai",
    "gen_ai.usage.prompt_tokens": 1000,
    "gen_ai.usage.cache_read_input_tokens": 600,
    "gen_ai.usage.cache_creation.input_tokens": 100,
    "gen_ai.usage.completion_tokens": 90,
    "gen_ai.usage.reasoning_tokens": 30,
}


def read(folder: Path, *lines: dict[str, Any], **options: Any) -> tuple[list[dict[str, Any]], list[str]]:
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "traces.json").write_text("".join(json.dumps(one) + "\n" for one in lines))
    ledger = Ledger(folder / "landed")
    settings = OtelOptions.model_validate({"location": str(folder / "log"), **options})
    ledger.run(Otel(name="traces", options=settings), WINDOW)
    return [row for _, _, row in ledger.rows], ledger.notes


@pytest.mark.parametrize("names", [NEW, OLD], ids=["new", "old"])
def test_names_of_both_conventions(tmp_path: Path, names: dict[str, Any]) -> None:
    resource = {"service.version": "v7", "deployment.environment": "prod"}
    call = span("b" * 16, START, **names, **{"enduser.id": "u1", "gen_ai.response.id": "resp_1", "app.attempt": 2})
    [row], _ = read(tmp_path, line(call, resource=resource), user_hash_key="k")
    assert row["called_at"] == START
    tokens = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
    assert [row[name] for name in tokens] == [300, 600, 100, 60, 30]
    assert (row["provider"], row["model"], row["feature"], row["release"]) == (
        "openai",
        "gpt-5-mini",
        "support_chat",
        "v7",
    )
    assert (row["task_id"], row["attempt"], row["response_id"], row["latency_ms"]) == ("a" * 32, 2, "resp_1", 1500)
    assert len(row["user_hash"]) == 32


def test_parents_are_left_out(tmp_path: Path) -> None:
    agent = span("1" * 16, START, **{**NEW, "gen_ai.operation.name": "invoke_agent"})
    framework = span("2" * 16, START, parent="1" * 16, **NEW)
    request = span("3" * 16, START, parent="2" * 16, **NEW)
    tool = span("4" * 16, START, parent="1" * 16, **{"gen_ai.operation.name": "execute_tool"})
    http = {**span("5" * 16, START, parent="3" * 16), "attributes": []}
    found, notes = read(tmp_path, line(request, http), line(framework, tool), line(agent))
    assert len(found) == 1
    assert "3 left out: spans around calls, which are no calls themselves" in notes
    assert "1 left out: records that are no calls to a model" in notes


def test_a_span_without_operation_is_a_call_if_it_has_tokens(tmp_path: Path) -> None:
    bare = {"gen_ai.operation.name": None, "gen_ai.request.model": "claude-sonnet-4-5", "gen_ai.response.model": None}
    found, _ = read(
        tmp_path,
        line(span("1" * 16, START, **bare, **{"gen_ai.usage.output_tokens": 5})),
        line(span("2" * 16, START, **bare)),
    )
    assert [(row["provider"], row["output_tokens"], row["input_tokens"]) for row in found] == [("anthropic", 5, None)]


def test_an_input_smaller_than_its_parts_does_not_include_them(tmp_path: Path) -> None:
    usage = {"gen_ai.usage.input_tokens": 50, "gen_ai.usage.cache_read_input_tokens": 600}
    [row], _ = read(tmp_path, line(span("1" * 16, START, **{"gen_ai.provider.name": "anthropic", **usage})))
    assert (row["input_tokens"], row["cache_read_tokens"]) == (50, 600)


@pytest.mark.parametrize(
    ("change", "status"),
    [({"status": {"code": 2}}, "error"), ({"status": {"code": "STATUS_CODE_ERROR"}}, "error"), ({}, "ok")],
)
def test_status(tmp_path: Path, change: dict[str, Any], status: str) -> None:
    [row], _ = read(tmp_path, line({**span("1" * 16, START, **NEW), **change}))
    assert row["status"] == status


def test_own_attributes_and_older_envelopes(tmp_path: Path) -> None:
    call = span("1" * 16, START, **{**NEW, "app.feature": None, "team.area": "search", "session.id": "s-9"})
    old = line(call)
    old["resourceSpans"][0]["instrumentationLibrarySpans"] = old["resourceSpans"][0].pop("scopeSpans")
    [row], _ = read(tmp_path, old, fields={"feature": "team.area", "task_id": "session.id"})
    assert (row["feature"], row["task_id"]) == ("search", "s-9")


def test_prompts_never_reach_disk_and_bad_spans_stop_nothing(tmp_path: Path) -> None:
    secret = "canary-prompt-24"
    talk = {"gen_ai.prompt.0.content": secret, "gen_ai.input.messages": f'[{{"content": "{secret}"}}]'}
    call = span("1" * 16, START, **{**NEW, **talk})
    said = [{"key": "content", "value": {"stringValue": secret}}]
    call["events"] = [{"name": "gen_ai.user.message", "attributes": said}]
    bad = span("2" * 16, START, **{**NEW, "gen_ai.usage.input_tokens": "lots"})
    broken = {**span("3" * 16, START, **NEW), "startTimeUnixNano": "0"}
    found, notes = read(tmp_path, line(call, bad, broken), {"resourceLogs": []}, {"resourceSpans": "?"})
    assert len(found) == 1
    assert "rejected 3 of 3 lines: time: missing (line 1)" not in notes
    assert sorted(note for note in notes if note.startswith("rejected")) == [
        "rejected 1 of 3 lines: input: not a whole number (line 1)",
        "rejected 1 of 3 lines: resourceSpans: missing (line 2)",
        "rejected 1 of 3 lines: time: missing (line 1)",
    ]
    assert not any(secret.encode() in path.read_bytes() for path in (tmp_path / "landed").rglob("*.*"))


@pytest.mark.parametrize(
    ("attributes", "tier"),
    [
        ({}, None),
        ({"openai.response.service_tier": "default", "openai.request.service_tier": "priority"}, "standard"),
        ({"gen_ai.openai.response.service_tier": "flex"}, "flex"),
        ({"gen_ai.openai.request.service_tier": "auto"}, None),
        ({"app.pricing_tier": "batch", "openai.response.service_tier": "default"}, "batch"),
    ],
)
def test_the_tier_that_a_request_was_served_in(tmp_path: Path, attributes: dict[str, Any], tier: str | None) -> None:
    own = {"app.task_id": "t-1"}
    [row], _ = read(tmp_path, line(span("b" * 16, START, **NEW, **own, **attributes)))
    assert (row["pricing_tier"], row["task_id"], row["trace_id"]) == (tier, "t-1", "a" * 32)


def test_calls_far_above_a_call_and_circles_of_parents(tmp_path: Path) -> None:
    outer = span("1" * 16, START, **NEW)
    between = {**span("2" * 16, START, parent="1" * 16), "attributes": []}
    inner = span("3" * 16, START.replace(second=2), parent="2" * 16, **NEW)
    own_parent = span("4" * 16, START.replace(second=3), parent="4" * 16, **NEW)
    found, notes = read(tmp_path, line(inner), line(own_parent, between), line(outer))
    assert [row["called_at"].second for row in found] == [2, 3]
    assert "2 left out: spans around calls, which are no calls themselves" in notes


def test_a_trace_that_is_no_identifier_does_not_lose_its_call(tmp_path: Path) -> None:
    [row], notes = read(tmp_path, line(span("b" * 16, START, trace="t" * 300, **{**NEW, "app.task_id": None})))
    assert (row["task_id"], row["trace_id"]) == (None, None)
    assert "1 of 1 calls: a trace or session that is no identifier: no task_id" in notes
