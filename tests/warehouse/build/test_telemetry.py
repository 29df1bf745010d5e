"""Telemetry that is late, doubled, out of order, in the future or of nothing known: a rule and a count for each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from connectors.base import Rows
from connectors.schema import TELEMETRY_ISSUES
from tests.warehouse.bills import NOW, Home, call_rows, one, outcome_rows, rows_of
from warehouse.build import build
from warehouse.features import parse_features
from warehouse.store import Warehouse

FEATURES = parse_features("version: 1\nfeatures: {support_chat: {success: {outcomes: [resolved]}}}")
ISSUES = "SELECT source_name, issue, detail, occurrences, treatment FROM ops.telemetry_issues ORDER BY ALL"


def load(home: Home, wh: Warehouse, *parts: Rows, source: str = "calls", scope: str = "f", **more: Any) -> None:
    home.load_rows(wh, *parts, source=source, source_type="events", scope=scope, replaces="scope", **more)


def built(wh: Warehouse) -> Warehouse:
    build(wh, features=FEATURES, run_id="r", now=NOW, as_of=date(2026, 2, 3), settled_through={})
    return wh


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def tasks(wh: Warehouse) -> list[tuple[Any, ...]]:
    return rows_of(built(wh), "SELECT task_id, outcome FROM staging.tasks ORDER BY ALL")


def test_the_latest_outcome_wins_wherever_it_comes_from(home: Home, wh: Warehouse) -> None:
    load(home, wh, call_rows({"called_at": at(1), "outcome": "escalated"}, {"task_id": "t2"}))
    assert tasks(wh) == [("t1", "escalated"), ("t2", None)]
    load(home, wh, outcome_rows({"outcome_at": at(9)}, {"outcome": "reopened", "outcome_at": at(8)}), source="crm")
    assert tasks(wh) == [("t1", "resolved"), ("t2", None)]
    assert one(wh, "SELECT sum(successful_tasks) FROM core.usage") == 1
    load(home, wh, outcome_rows({"outcome": "reopened", "outcome_at": at(10)}), source="crm", scope="second")
    assert tasks(wh) == [("t1", "reopened"), ("t2", None)]
    load(home, wh, outcome_rows(), source="crm", scope="second")  # the file was corrected: it says less now
    assert tasks(wh) == [("t1", "resolved"), ("t2", None)]


def test_an_outcome_for_an_unknown_task_waits_for_it_and_is_counted(home: Home, wh: Warehouse) -> None:
    load(home, wh, outcome_rows({"task_id": "t9"}), source="crm")
    assert tasks(wh) == []
    assert rows_of(wh, ISSUES) == [("crm", "outcome_for_unknown_task", None, 1, "waits for its task")]
    load(home, wh, call_rows({"task_id": "t9"}))
    assert tasks(wh) == [("t9", "resolved")]
    assert rows_of(wh, ISSUES) == []


def test_calls_that_only_name_a_trace_belong_to_the_task_of_its_other_calls(home: Home, wh: Warehouse) -> None:
    """A call of tr1 names t1, an embedding names nothing: its task is the trace, as connectors write it."""
    chat = {"task_id": "t1", "trace_id": "tr1", "response_id": "r1"}
    embedding = {"task_id": "tr1", "response_id": "r2", "called_at": at(1, 13), "attempt": 2}
    load(home, wh, call_rows(chat, embedding), outcome_rows({"task_id": "tr1"}))
    assert tasks(wh) == [("t1", "resolved")]
    assert rows_of(wh, "SELECT sum(calls), sum(tasks), sum(successful_tasks) FROM core.usage") == [(2, 1, 1)]
    assert one(wh, "SELECT calls FROM staging.tasks") == 2
    assert rows_of(wh, ISSUES) == []
    # Two tasks in the trace: nobody can tell whose the embedding is, nor of which the outcome speaks.
    load(home, wh, call_rows({"task_id": "t2", "trace_id": "tr1", "response_id": "r3"}), scope="second")
    assert tasks(wh) == [("t1", None), ("t2", None), ("tr1", "resolved")]
    load(home, wh, call_rows({"task_id": "t3"}), scope="second")  # corrected: the trace has one task again
    assert tasks(wh) == [("t1", "resolved"), ("t3", None)]
    # A task that calls with a trace of their own name is no trace, whoever calls a trace so.
    load(home, wh, call_rows({"task_id": "t0", "trace_id": "t1", "response_id": "r4"}), scope="third")
    assert tasks(wh) == [("t0", None), ("t1", "resolved"), ("t3", None)]


def test_what_lies_in_the_future_is_left_out_and_counted(home: Home, wh: Warehouse) -> None:
    ahead = {"called_at": NOW + timedelta(days=5), "task_id": "t2"}
    skewed = {"called_at": NOW + timedelta(minutes=40), "task_id": "t3"}
    load(home, wh, call_rows({}, ahead, skewed), outcome_rows({"outcome_at": NOW + timedelta(days=400)}))
    assert tasks(wh) == [("t1", None), ("t3", None)]
    assert rows_of(wh, ISSUES) == [
        ("calls", "in_the_future", "outcome", 1, "left out"),
        ("calls", "in_the_future", None, 1, "left out"),
    ]
    assert one(wh, "SELECT max(usage_date) FROM core.usage") == NOW.date()


def test_a_doubled_call_counts_once_and_is_counted_and_the_better_report_speaks(home: Home, wh: Warehouse) -> None:
    bare = {"response_id": "r1", "feature": None, "task_id": None}
    load(home, wh, call_rows(bare, {"response_id": "r2", "task_id": "t2"}), source="a_gateway")
    load(home, wh, call_rows({"response_id": "r1", "called_at": at(1, 13)}), source="calls")
    assert rows_of(built(wh), "SELECT feature, calls, tasks FROM core.usage") == [("support_chat", 2, 2)]
    assert rows_of(wh, ISSUES) == [("a_gateway", "duplicate", None, 1, "counted once")]
    load(home, wh, call_rows({"task_id": "t5"}), source="calls")  # the better report goes: the other speaks again
    assert rows_of(built(wh), "SELECT feature, calls FROM core.usage ORDER BY 1") == [
        ("support_chat", 2),
        ("unallocated", 1),
    ]
    assert one(wh, "SELECT count(*) FROM ops.telemetry_issues WHERE issue = 'duplicate'") == 0


def test_of_calls_that_name_nothing_those_of_two_files_and_one_microsecond_that_are_alike_are_one(
    home: Home, wh: Warehouse
) -> None:
    bare = {"task_id": None, "response_id": None, "user_hash": "u1", "latency_ms": 812}
    told = {**bare, "called_at": at(1).replace(microsecond=123_456)}
    # By the second or the millisecond, and without a latency, many calls may be alike: they all count.
    whole = [{**bare, "called_at": at(2)}, {**bare, "called_at": at(3).replace(microsecond=5000)}] * 2
    batch = [{**told, "called_at": at(4).replace(microsecond=123_456), "latency_ms": None}] * 3
    load(home, wh, call_rows(told, told, {**told, "output_tokens": 11}, {**told, "user_hash": "u2"}, *whole, *batch))
    load(home, wh, call_rows(told, {**told, "trace_id": "tr1"}, whole[0], *batch), source="again")
    assert rows_of(built(wh), "SELECT usage_date::VARCHAR, calls FROM core.usage ORDER BY 1") == [
        ("2026-01-01", 5),
        ("2026-01-02", 3),
        ("2026-01-03", 2),
        ("2026-01-04", 6),
    ]
    assert one(wh, "SELECT sum(occurrences) FROM ops.telemetry_issues WHERE issue = 'duplicate'") == 1


def test_late_calls_are_taken_and_counted_and_a_first_delivery_has_none(home: Home, wh: Warehouse) -> None:
    load(home, wh, call_rows({"called_at": at(1)}, {"called_at": at(20), "task_id": "t2"}))
    assert rows_of(built(wh), ISSUES) == []
    grown = [{"called_at": at(1)}, {"called_at": at(1, 15), "task_id": "t3"}, {"called_at": at(20), "task_id": "t2"}]
    grown += [{"called_at": at(19), "task_id": "t4"}, {"called_at": at(22), "task_id": "t5"}]
    load(home, wh, call_rows(*grown))
    assert rows_of(built(wh), ISSUES) == [("calls", "late", None, 1, "kept")]
    assert rows_of(wh, "SELECT usage_date::VARCHAR, calls FROM core.usage ORDER BY 1")[0] == ("2026-01-01", 2)


def test_unknown_features_and_models_are_kept_under_their_names_and_counted(home: Home, wh: Warehouse) -> None:
    load(home, wh, call_rows({"feature": "no_such"}, {"model": "our-own-thing", "task_id": "t2"}))
    assert rows_of(built(wh), "SELECT feature, model FROM core.usage ORDER BY ALL") == [
        ("no_such", "gpt-5-mini"),
        ("support_chat", "our-own-thing"),
    ]
    assert rows_of(wh, ISSUES) == [
        ("calls", "unknown_feature", "no_such", 1, "kept"),
        ("calls", "unknown_model", "our-own-thing", 1, "kept"),
    ]


def test_what_the_connector_told_goes_with_its_delivery(home: Home, wh: Warehouse) -> None:
    told = [{"issue": "rejected", "detail": "input_tokens: negative", "occurrences": 3}]
    load(home, wh, call_rows({}), Rows("telemetry_issues", pa.Table.from_pylist(told, schema=TELEMETRY_ISSUES)))
    assert rows_of(built(wh), ISSUES) == [("calls", "rejected", "input_tokens: negative", 3, "rejected")]
    load(home, wh, call_rows({}, {"task_id": "t2"}))
    assert rows_of(built(wh), ISSUES) == []


def test_two_sources_that_nothing_tells_apart_are_named(home: Home, wh: Warehouse) -> None:
    load(home, wh, call_rows({}))
    load(home, wh, call_rows({"called_at": at(1, 14)}, {"called_at": at(2), "task_id": "t2"}), source="gateway")
    assert rows_of(built(wh), ISSUES) == [
        ("calls", "two_sources", "support_chat, openai, also from gateway", 1, "kept"),
        ("gateway", "two_sources", "support_chat, openai, also from calls", 1, "kept"),
    ]


def test_the_order_of_calls_and_of_deliveries_means_nothing(home: Home, wh: Warehouse) -> None:
    rng = random.Random(5)
    rows: list[Mapping[str, Any]] = [
        {
            "called_at": at(rng.randint(1, 4), rng.randint(0, 23)),
            "task_id": rng.choice(("t1", "t2", "t3", None)),
            "attempt": rng.choice((1, 2)),
            "response_id": rng.choice((None, "r1", "r2", "r3", "r4")),
            "outcome": rng.choice((None, "resolved", "lost")),
            "feature": rng.choice((None, "support_chat", "other")),
            "model": rng.choice(("gpt-5", "gpt-5-mini")),
            "input_tokens": rng.choice((None, 1, 2, 3)),
        }
        for _ in range(60)
    ]
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        for scope in ("x", "y"):
            load(home, wh, call_rows(*rows[scope == "y" :: 2]), scope=scope)
        found.append([rows_of(built(wh), f"SELECT * FROM {t} ORDER BY ALL") for t in ("core.usage", "staging.tasks")])
    # Which of two reports speaks depends on the scope they came in only where they are equal in all that is counted.
    assert found[0] == found[1] == found[2]


def test_hours_add_up_to_days_and_reach_back_fourteen_days(home: Home, wh: Warehouse) -> None:
    calls = [{"called_at": at(day, hour), "task_id": f"t{day}"} for day in range(1, 21) for hour in (3, 17)]
    load(home, wh, call_rows(*calls))
    hours = rows_of(
        built(wh), "SELECT min(usage_hour), max(usage_hour), sum(calls), sum(tasks), count(*) FROM core.usage_hourly"
    )
    assert hours == [(at(7, 3), at(20, 17), 28, 14, 28)]
    assert one(wh, "SELECT count(*) FROM core.usage_hourly WHERE source_name <> 'calls'") == 0


def test_an_id_that_two_features_give_to_a_task_is_told(home: Home, wh: Warehouse) -> None:
    load(home, wh, call_rows({}, {"feature": "search", "called_at": at(1, 13)}, {"feature": None, "task_id": "t2"}))
    assert rows_of(built(wh), "SELECT feature, calls, tasks FROM core.usage ORDER BY 1") == [
        ("search", 1, 0),
        ("support_chat", 1, 1),
        ("unallocated", 1, 1),
    ]
    assert ("calls", "task_of_several_features", "support_chat", 1, "kept") in rows_of(wh, ISSUES)
