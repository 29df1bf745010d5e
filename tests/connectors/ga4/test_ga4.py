"""GA4's export: which parameters say what, which table speaks for a day, and what never leaves BigQuery."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.base import Rows, Window
from connectors.errors import ConfigError, IncompleteDelivery
from connectors.ga4 import Ga4, Ga4Options
from connectors.http_api import RetryPolicy
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.ga4.world import event, write_table
from tests.servers.bigquery import Dataset, Fault, new_dataset, proxy

DAY = Window(date(2026, 1, 5), date(2026, 1, 6))
MOMENT = datetime(2026, 1, 5, 9, 30, 0, 123456, tzinfo=UTC)
QUICK = RetryPolicy(attempts=2, first_wait_seconds=0.001, longest_wait_seconds=0.01, read_timeout_seconds=20)
CALL = {"model": "gpt-5-mini", "feature": "support_chat", "task_id": "t-1", "input_tokens": 120, "output_tokens": 30}


@pytest.fixture
def dataset() -> Iterator[Dataset]:
    made = new_dataset()
    yield made
    made.client.delete_dataset(made.name, delete_contents=True, not_found_ok=True)


def connect(dataset: Dataset, **options: Any) -> Ga4:
    given = {**dataset.options(), "user_hash_key": "pepper", **options}
    return Ga4(name="web", options=Ga4Options.model_validate(given), retry=QUICK)


def load(dataset: Dataset, folder: Path, **options: Any) -> Ledger:
    ledger = Ledger(folder / "landed")
    ledger.run(connect(dataset, **options), DAY)
    return ledger


def rows(ledger: Ledger, layout: str = "calls") -> list[dict[str, Any]]:
    return [row for _, kind, row in ledger.rows if kind == layout]


def test_an_event_becomes_a_call(dataset: Dataset, tmp_path: Path) -> None:
    more = {"status": "success", "attempt": "2", "latency_ms": 811.6, "gpu_seconds": "1.5", "logged_cost_usd": 0.007}
    write_table(dataset, "events_20260105", [event(MOMENT, "ai_request", {**CALL, **more}, user_id="mia@acme.example")])
    [call] = rows(load(dataset, tmp_path))
    assert call["called_at"] == MOMENT
    assert (call["provider"], call["model"], call["feature"], call["task_id"]) == (
        "openai",
        "gpt-5-mini",
        "support_chat",
        "t-1",
    )
    assert (call["input_tokens"], call["output_tokens"], call["cache_read_tokens"]) == (120, 30, None)
    assert (call["status"], call["attempt"], call["latency_ms"], call["gpu_seconds"]) == ("ok", 2, 812, 1.5)
    assert call["logged_cost_usd"] == Decimal("0.007")
    assert call["user_hash"] not in (None, "mia@acme.example")


def test_events_and_parameters_have_the_names_that_are_configured(dataset: Dataset, tmp_path: Path) -> None:
    params = {"llm": "m-1", "ai_feature": "search", "conversation": "c-9", "who": "u-7", "feature": "not this one"}
    events = [
        event(MOMENT, "llm_call", params),
        event(MOMENT + timedelta(minutes=5), "thumbs", {"conversation": "c-9", "verdict": "up"}),
        event(MOMENT + timedelta(minutes=6), "thumbs", {"conversation": "c-9"}),
        event(MOMENT, "ai_request", CALL),
    ]
    write_table(dataset, "events_20260105", events)
    names = {"model": "llm", "feature": "ai_feature", "task_id": "conversation", "outcome": "verdict", "user_id": "who"}
    ledger = load(dataset, tmp_path, call_events=["llm_call"], outcome_events=["thumbs"], params=names, provider="acme")
    [call] = rows(ledger)
    assert (call["provider"], call["model"], call["feature"], call["task_id"]) == ("acme", "m-1", "search", "c-9")
    assert call["user_hash"]
    assert rows(ledger, "outcomes") == [
        {"task_id": "c-9", "outcome": "up", "outcome_at": MOMENT + timedelta(minutes=5)}
    ]
    assert "1 records: no outcome yet" in ledger.notes
    assert any("feature (1×)" in note for note in ledger.notes)


def test_users_may_be_told_apart_by_the_pseudonymous_id(dataset: Dataset, tmp_path: Path) -> None:
    write_table(dataset, "events_20260105", [event(MOMENT, "ai_request", CALL)])
    assert rows(load(dataset, tmp_path / "a"))[0]["user_hash"] is None
    assert rows(load(dataset, tmp_path / "b", user_column="user_pseudo_id"))[0]["user_hash"]


def test_prompts_and_users_reach_no_byte_on_disk(dataset: Dataset, tmp_path: Path) -> None:
    secrets = {"prompt": "prompt-canary-83ad", "page_title": "title-canary-83ad"}
    write_table(
        dataset, "events_20260105", [event(MOMENT, "ai_request", {**CALL, **secrets}, user_id="user-canary-83ad")]
    )
    ledger = load(dataset, tmp_path)
    assert len(rows(ledger)) == 1
    assert "fields dropped before anything was written: prompt (1×)" in ledger.notes
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"canary-83ad" in path.read_bytes()]
    assert found == []


def test_odd_events_are_rejected_and_counted(dataset: Dataset, tmp_path: Path) -> None:
    odd = [
        event(MOMENT, "ai_request", {**CALL, "model": None}),
        event(MOMENT, "ai_request", {**CALL, "input_tokens": -5}),
        event(MOMENT, "ai_request", {**CALL, "output_tokens": "many"}),
        event(MOMENT, "ai_request", {**CALL, "gpu_seconds": "much"}),
        event(MOMENT, "ai_request", {**CALL, "task_id": "x" * 300}),
        event(datetime(1999, 1, 1, tzinfo=UTC), "ai_request", CALL),
        {**event(MOMENT, "ai_request", CALL), "event_timestamp": None},
        event(MOMENT, "ai_request", CALL),
    ]
    write_table(dataset, "events_20260105", odd)
    ledger = Ledger(tmp_path / "landed")
    [parsed] = ledger.run(connect(dataset), DAY)
    assert len(rows(ledger)) == 1
    [issues] = [part.table for part in parsed.parts if isinstance(part, Rows)]
    reasons = {row["detail"]: row["occurrences"] for row in issues.to_pylist()}
    assert sum(reasons.values()) == 7
    assert set(reasons) == {
        "provider: missing",
        "input_tokens: negative",
        "output_tokens: not a whole number",
        "gpu_seconds: not a number",
        "task_id: longer than 256 characters, or not valid Unicode",
        "time: before 2015 or after 2099",
        "time: missing",
    }


def test_the_days_table_takes_the_place_of_the_intraday_one(dataset: Dataset, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "landed")
    write_table(dataset, "events_intraday_20260105", [event(MOMENT, "ai_request", CALL)])
    ledger.run(connect(dataset), DAY)
    assert len(rows(ledger)) == 1
    write_table(dataset, "events_20260105", [event(MOMENT, "ai_request", CALL) for _ in range(3)])
    [ref] = connect(dataset).discover(DAY)
    ledger.run(connect(dataset), DAY)
    assert len(rows(ledger)) == 3
    dataset.client.delete_table(dataset.path("events_intraday_20260105"))
    assert [one.identity for one in connect(dataset).discover(DAY)] == [ref.identity]


def test_a_table_is_a_day_of_the_propertys_zone_and_a_call_one_of_utc(dataset: Dataset, tmp_path: Path) -> None:
    evening = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
    write_table(dataset, "events_20260106", [event(evening, "ai_request", CALL)])  # of a zone ahead of UTC
    write_table(dataset, "events_20260104", [event(MOMENT, "ai_request", CALL)])  # sent late, or of a zone behind
    write_table(dataset, "events_20260108", [event(MOMENT, "ai_request", CALL)])
    assert {row["called_at"] for row in rows(load(dataset, tmp_path))} == {MOMENT, evening}


def test_a_late_event_changes_the_identity_and_a_dearer_limit_does_not(dataset: Dataset) -> None:
    write_table(dataset, "events_20260105", [event(MOMENT, "ai_request", CALL)])

    def identity(**options: Any) -> str | None:
        [ref] = connect(dataset, **options).discover(DAY)
        return ref.identity

    before = identity()
    assert identity(maximum_gigabytes_billed=7) == before
    assert identity(params={"feature": "ai_feature"}) != before
    dataset.load("events_20260105", [event(MOMENT, "ai_request", CALL)])
    assert identity() != before


def test_what_goes_wrong_names_its_cure(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no events_YYYYMMDD among 0 tables"):
        load(dataset, tmp_path)
    write_table(dataset, "events_20260105", [event(MOMENT, "page_view", {})])
    [bad] = [result for result in connect(dataset).check() if not result.ok]
    assert bad.name == "events"
    assert "events_20260105 holds: page_view" in bad.cure
    with proxy() as server:
        server.faults.append(Fault("POST /bigquery/v2/projects", 403, "accessDenied", "Access Denied: Project a"))
        [denied] = [one for one in connect(dataset, api_endpoint=server.url).check() if not one.ok]
        assert "roles/bigquery" in denied.cure
    with proxy() as server:
        server.rewrite = lambda body: body.replace(b'"totalRows":"1"', b'"totalRows":"2"').replace(
            b'"totalRows": "1"', b'"totalRows": "2"'
        )
        write_table(dataset, "events_20260105", [event(MOMENT, "ai_request", CALL)])
        with pytest.raises(IncompleteDelivery):
            load(dataset, tmp_path, api_endpoint=server.url)


def test_a_day_that_would_cost_too_much_is_not_read(dataset: Dataset, tmp_path: Path) -> None:
    write_table(dataset, "events_20260105", [event(MOMENT, "ai_request", CALL)])
    with proxy() as server:
        server.rewrite = lambda body: body.replace(b'"totalBytesProcessed":"', b'"totalBytesProcessed":"999999999')
        with pytest.raises(ConfigError, match="maximum_gigabytes_billed"):
            load(dataset, tmp_path, api_endpoint=server.url, maximum_gigabytes_billed="0.001")
    [ref] = connect(dataset).discover(DAY)
    assert connect(dataset).price(ref).usd >= 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"params": {"colour": "x"}}, "no such field"),
        ({"params": {"feature": "x`; DROP"}}, "pattern"),
        ({"call_events": ["a"], "outcome_events": ["a"]}, "both name a"),
        ({"call_events": [], "outcome_events": []}, "at least one event"),
        ({"user_column": "geo"}, "user_id"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Ga4Options.model_validate({"project": "acme", "dataset": "analytics_1", **options})
