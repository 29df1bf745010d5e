"""LiteLLM's spend logs: what the tokens mean, one call per request, and the proxy's pages."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.base import Window
from connectors.errors import PagingError, PayloadError
from connectors.litellm import LiteLlm, LiteLlmOptions
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.conformance.world import FAST
from tests.connectors.log_world import as_csv, as_parquet
from tests.servers.json_api import Request, serve
from tests.servers.litellm import KEY, LiteLlmStub, spend_log

DAY = Window(date(2026, 1, 5), date(2026, 1, 6))
MOMENT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def row(**changes: Any) -> dict[str, Any]:
    return {**spend_log(7, MOMENT, random.Random(1)), "spend": 0.007, "cache_hit": "False", **changes}


def read(folder: Path, *rows: dict[str, Any], **options: Any) -> tuple[list[dict[str, Any]], list[str]]:
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return load(folder, LiteLlmOptions.model_validate({"location": str(folder / "log"), **options}))


def load(folder: Path, options: LiteLlmOptions) -> tuple[list[dict[str, Any]], list[str]]:
    ledger = Ledger(folder / "landed")
    ledger.run(LiteLlm(name="gateway", options=options, retry=FAST), DAY)
    return [found for _, _, found in ledger.rows], ledger.notes


def test_a_row_becomes_a_call(tmp_path: Path) -> None:
    usage = row()["metadata"]["usage_object"]
    [call], _ = read(tmp_path, row(endTime="2026-01-05T09:30:01.5+00:00"), user_hash_key="k")
    assert call["called_at"] == MOMENT
    assert (call["provider"], call["model"], call["feature"], call["task_id"]) == (
        "openai",
        "gpt-5-mini",
        "support_chat",
        "t-3",
    )
    assert call["input_tokens"] == (
        usage["prompt_tokens"] - usage["cache_read_input_tokens"] - usage["cache_creation_input_tokens"]
    )
    assert call["cache_read_tokens"] == usage["cache_read_input_tokens"]
    assert (call["output_tokens"], call["reasoning_tokens"]) == (37, 10)
    assert (call["response_id"], call["status"], call["latency_ms"]) == ("chatcmpl-7", "ok", 1500)
    assert call["logged_cost_usd"] == Decimal("0.007")
    assert len(call["user_hash"]) == 32


def test_a_request_with_a_hundred_tags_is_one_call_of_no_feature(tmp_path: Path) -> None:
    tags = [f"feature:f{n}" for n in range(100)]
    calls, notes = read(tmp_path, row(request_tags=tags), row(request_id="b", request_tags=["feature:a"] * 100))
    assert [call["feature"] for call in calls] == [None, "a"]
    assert sum(call["logged_cost_usd"] for call in calls) == Decimal("0.014")
    assert "1 of 2 calls: several features are named: the feature is unknown" in notes


def test_the_gateways_own_cache_asks_no_provider(tmp_path: Path) -> None:
    [call], notes = read(tmp_path, row(cache_hit="True"))
    assert (call["input_tokens"], call["output_tokens"], call["logged_cost_usd"]) == (0, 0, 0)
    assert "1 of 1 calls: answered from the gateway's own cache: no tokens" in notes


@pytest.mark.parametrize("kind", ["csv", "parquet", "page"])
def test_exports_of_several_kinds_say_the_same(tmp_path: Path, kind: str) -> None:
    rows = [row(), row(request_id="b", status="failure", metadata={"feature": "search"}, request_tags=[])]
    expected, _ = read(tmp_path / "lines", *rows) if (tmp_path / "lines").mkdir() is None else ([], [])
    folder = tmp_path / "log"
    folder.mkdir()
    if kind == "page":
        (folder / "a.json").write_text(json.dumps({"data": rows, "total": 2, "page": 1, "total_pages": 1}))
    else:
        (folder / f"a.{kind}").write_bytes(as_csv(rows) if kind == "csv" else as_parquet(rows))
    found, _ = load(tmp_path, LiteLlmOptions(location=str(folder)))
    assert found == expected
    assert [call["status"] for call in found] == ["ok", "error"]
    assert csv.field_size_limit() > 0


def test_prompts_in_the_export_never_reach_disk(tmp_path: Path) -> None:
    secret = "canary-prompt-22"
    hostile = row(messages=[{"content": secret}], response={"text": secret}, proxy_server_request=secret)
    hostile["metadata"] = {**hostile["metadata"], "requester_metadata": {"note": secret}}
    calls, notes = read(tmp_path, hostile)
    assert len(calls) == 1
    assert any("messages" in note for note in notes)
    assert not any(secret.encode() in path.read_bytes() for path in (tmp_path / "landed").rglob("*.*"))


def test_own_fields_may_stand_elsewhere(tmp_path: Path) -> None:
    nested = row(metadata={"app": {"feature": "search", "run": 5}})
    [call], _ = read(tmp_path, nested, fields={"feature": "metadata.app.feature", "task_id": "metadata.app.run"})
    assert (call["feature"], call["task_id"]) == ("search", "5")


def test_what_no_provider_can_be_told_of_is_rejected(tmp_path: Path) -> None:
    calls, notes = read(
        tmp_path,
        row(custom_llm_provider="", model="claude-sonnet-4-5"),
        row(request_id="b", custom_llm_provider=None, model="our-own"),
        row(request_id="c", prompt_tokens=-5),
        row(request_id="d", prompt_tokens="many"),
        row(request_id="e", prompt_tokens="1e999999999"),  # to write its digits out would take days
    )
    assert [call["provider"] for call in calls] == ["anthropic"]
    assert sorted(notes)[-4:] == [
        "rejected 1 of 5 lines: input_tokens: negative (line 3)",
        "rejected 1 of 5 lines: prompt_tokens: absurdly large (line 5)",
        "rejected 1 of 5 lines: prompt_tokens: not a whole number (line 4)",
        "rejected 1 of 5 lines: provider: missing (line 2)",
    ]


class Shifting(LiteLlmStub):
    """A request comes in between two pages: what was last on page one is first on page two."""

    def answer(self, request: Request) -> Any:
        answer = super().answer(request)
        if request.query["page"] == ["1"]:
            newest = MOMENT.replace(hour=23)
            self.rows.append({**spend_log(99, newest, random.Random(3)), "request_id": "new"})
        return answer


def test_rows_that_move_between_pages_count_once(tmp_path: Path) -> None:
    rows = [spend_log(n, MOMENT.replace(minute=n), random.Random(n)) for n in range(30)]
    with serve(Shifting(rows=rows, vary=False, page_limit=10)) as api:
        found, _ = load(tmp_path, LiteLlmOptions.model_validate({"base_url": api.url, "api_key": KEY}))
    ids = [call["response_id"] for call in found]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {f"chatcmpl-{n}" for n in range(30)}


class Renamed(LiteLlmStub):
    def answer(self, request: Request) -> Any:
        answer = super().answer(request)
        for one in answer["data"]:
            one["start_time"] = one.pop("startTime")
        return answer


def test_a_day_of_which_no_row_can_be_read_is_an_error_and_no_day_without_calls(tmp_path: Path) -> None:
    rows = [spend_log(n, MOMENT, random.Random(n)) for n in range(20)]
    with serve(Renamed(rows=rows)) as api:
        options = LiteLlmOptions.model_validate({"base_url": api.url, "api_key": KEY})
        with pytest.raises(PayloadError, match="none of 20 rows can be read: time: missing"):
            load(tmp_path, options)
        api.rows = rows[:3]  # type: ignore[attr-defined]
        assert load(tmp_path, options)[0] == []


def test_a_day_whose_requests_all_failed_before_routing_holds_nothing_up(tmp_path: Path) -> None:
    unrouted = {"model": "nobody-knows", "custom_llm_provider": "", "status": "failure"}
    rows = [spend_log(n, MOMENT, random.Random(n)) | unrouted for n in range(20)]
    for one in rows[::2]:
        one |= {"status": None, "metadata": json.dumps({"status": "failure"})}
    with serve(LiteLlmStub(rows=rows)) as api:
        options = LiteLlmOptions.model_validate({"base_url": api.url, "api_key": KEY})
        calls, notes = load(tmp_path, options)
        assert calls == []
        assert any("20 " in note and "provider: missing" in note for note in notes), notes


class Endless(LiteLlmStub):
    """Says the same page again and again, and that there is one more."""

    def answer(self, request: Request) -> Any:
        page = int(request.query["page"][0])
        again = super().answer(replace(request, query={**request.query, "page": ["1"]}))
        return {**again, "page": page, "total_pages": page + 1}


def test_pages_that_say_the_same_for_ever_are_an_error(tmp_path: Path) -> None:
    with serve(Endless(rows=[spend_log(1, MOMENT, random.Random(1))], vary=False)) as api:
        options = LiteLlmOptions.model_validate({"base_url": api.url, "api_key": KEY})
        with pytest.raises(PagingError, match="say what others said"):
            load(tmp_path, options)
        assert len(api.requests) < 60


def test_a_row_of_the_next_midnight_belongs_to_the_next_day(tmp_path: Path) -> None:
    midnight = datetime(2026, 1, 6, tzinfo=UTC)
    with serve(LiteLlmStub(rows=[spend_log(1, midnight, random.Random(1))])) as api:
        found, _ = load(tmp_path, LiteLlmOptions.model_validate({"base_url": api.url, "api_key": KEY}))
    assert found == []


class Capped(LiteLlmStub):
    def answer(self, request: Request) -> Any:
        return {**super().answer(request), "total_is_capped": True}


def test_a_capped_answer_is_an_error_and_no_truncation(tmp_path: Path) -> None:
    with serve(Capped(rows=[spend_log(1, MOMENT, random.Random(1))])) as api:
        options = LiteLlmOptions.model_validate({"base_url": api.url, "api_key": KEY})
        with pytest.raises(PagingError, match="caps"):
            load(tmp_path, options)


@pytest.mark.parametrize("options", [{}, {"location": "x", "base_url": "http://a"}, {"base_url": "http://a"}])
def test_one_of_two_ways_must_be_chosen(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LiteLlmOptions.model_validate(options)


@pytest.mark.parametrize(
    ("changes", "tier"),
    [
        ({}, None),
        ({"usage_object": {"service_tier": "flex"}}, "flex"),
        ({"service_tier": "default"}, "standard"),
        ({"model_parameters": {"service_tier": "standard_only"}}, "standard"),  # what Anthropic is asked for
        ({"service_tier": "auto"}, None),  # asked for, and the answer does not say
        ({"service_tier": "scale"}, "other"),  # prepaid capacity: no price per token
        ({"spend_logs_metadata": {"pricing_tier": "Priority"}}, "priority"),
    ],
)
def test_the_tier_that_a_request_was_served_in(tmp_path: Path, changes: dict[str, Any], tier: str | None) -> None:
    metadata = {**row()["metadata"], **changes}
    [call], notes = read(tmp_path, row(metadata=metadata))
    assert call["pricing_tier"] == tier
    assert any("pricing tier that no price list has" in note for note in notes) is (tier == "other")


def test_the_row_of_a_batch_is_at_its_price_and_its_session_is_its_trace(tmp_path: Path) -> None:
    [call], _ = read(tmp_path, row(call_type="aretrieve_batch", session_id="s-1"))
    assert (call["pricing_tier"], call["task_id"], call["trace_id"]) == ("batch", "t-3", "s-1")


@pytest.mark.parametrize(
    ("counted", "from_one", "from_zero"),
    [
        ({"attempt": 0, "attempted_retries": 0}, 1, 1),
        ({"attempt": 0}, 1, 1),
        ({"attempt": 2, "attempted_retries": 0}, 2, 3),
        ({"attempted_retries": 0}, 1, 1),
        ({"attempted_retries": 2}, 3, 3),  # retries are none for a first attempt, however attempts are counted
        ({}, None, None),
    ],
)
def test_attempts_are_numbered_from_one_however_the_source_counts(
    tmp_path: Path, counted: dict[str, Any], from_one: int | None, from_zero: int | None
) -> None:
    plain = {name: value for name, value in row()["metadata"].items() if name not in ("attempt", "attempted_retries")}
    for first_attempt, attempt in ((1, from_one), (0, from_zero)):
        folder = tmp_path / str(first_attempt)
        folder.mkdir()
        [call], _ = read(folder, row(metadata={**plain, **counted}), first_attempt=first_attempt)
        assert call["attempt"] == attempt


def test_a_session_that_is_no_identifier_does_not_lose_its_call(tmp_path: Path) -> None:
    [call], _ = read(tmp_path, row(session_id="s" * 300))
    assert (call["task_id"], call["trace_id"]) == ("t-3", None)
    plain = {name: value for name, value in row()["metadata"].items() if name != "spend_logs_metadata"}
    [call], notes = read(tmp_path, row(session_id="s" * 300, metadata=plain))
    assert (call["task_id"], call["trace_id"], call["input_tokens"] is None) == (None, None, False)
    assert "1 of 1 calls: a trace or session that is no identifier: no task_id" in notes
