"""core.usage: calls on their own day, tasks on the day of their first call, outcomes when they come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.warehouse.bills import Home, call_rows, rows_of
from tests.warehouse.build.small_run import FEATURES
from warehouse import model_runner
from warehouse.prices import PriceBook
from warehouse.prices.tables import apply_prices
from warehouse.store import Warehouse
from warehouse.telemetry import derive_tasks

COLUMNS = (
    "usage_date::VARCHAR, feature, model, calls, failed_calls, retries, tasks, tasks_with_outcome, successful_tasks"
)


def usage(wh: Warehouse, columns: str = COLUMNS) -> list[tuple[Any, ...]]:
    FEATURES.apply_tables(wh.con)
    derive_tasks(wh)
    apply_prices(wh.con, PriceBook())
    model = next(model for model in model_runner.read_models() if model.table == "core.usage")
    model_runner.run_models(wh.con, [model])
    failed = [one for one in model_runner.run_checks(wh.con, [model]) if one.level == "fail" and not one.ok]
    assert failed == []
    return rows_of(wh, f"SELECT {columns} FROM core.usage ORDER BY ALL")


def load(home: Home, wh: Warehouse, *rows: Mapping[str, Any], source: str = "calls") -> None:
    home.load_rows(wh, call_rows(*rows), source=source, source_type="events", scope="f", replaces="scope")


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def test_a_task_is_counted_once_on_the_day_of_its_first_call(home: Home, wh: Warehouse) -> None:
    load(
        home,
        wh,
        {"called_at": at(1, 23), "status": "error"},
        {"called_at": at(2, 0), "attempt": 2},
        {"called_at": at(2, 1), "attempt": 3, "model": "gpt-5", "outcome": "resolved"},
        {"called_at": at(2, 5), "task_id": "t2", "outcome": "escalated"},
        {"called_at": at(2, 6), "task_id": "t3"},
    )
    assert usage(wh) == [
        ("2026-01-01", "support_chat", "gpt-5-mini", 1, 1, 0, 1, 1, 1),
        ("2026-01-02", "support_chat", "gpt-5", 1, 0, 1, 0, 0, None),
        ("2026-01-02", "support_chat", "gpt-5-mini", 3, 0, 1, 2, 1, 0),
    ]


def test_no_outcome_is_unknown_and_no_success_list_is_unknown(home: Home, wh: Warehouse) -> None:
    load(home, wh, {}, {"task_id": "t2", "feature": "search", "outcome": "resolved"})
    assert usage(wh, "feature, tasks, tasks_with_outcome, successful_tasks") == [
        ("search", 1, 1, None),
        ("support_chat", 1, 0, None),
    ]


def test_an_outcome_may_come_late_and_from_another_source(home: Home, wh: Warehouse) -> None:
    load(home, wh, {"response_id": "r1"})
    late = {"called_at": at(9), "response_id": "r1", "outcome": "escalated"}
    load(home, wh, late, {**late, "called_at": at(10), "outcome": "resolved"}, source="outcomes")
    assert usage(wh) == [("2026-01-01", "support_chat", "gpt-5-mini", 1, 0, 0, 1, 1, 1)]


def test_one_call_reported_twice_is_one_call(home: Home, wh: Warehouse) -> None:
    by_response = {"response_id": "r1", "task_id": "t1", "input_tokens": 100}
    by_moment = {"task_id": "t2", "called_at": at(1, 13)}
    load(home, wh, by_response, by_moment, by_moment)
    load(home, wh, {**by_response, "called_at": at(1, 12)}, by_moment, source="gateway")
    assert usage(wh, "calls, tasks, input_tokens") == [(2, 2, 200)]


def test_what_makes_two_calls(home: Home, wh: Warehouse) -> None:
    load(
        home,
        wh,
        {"response_id": "r1"},
        {"response_id": "r1", "provider": "anthropic"},  # another provider's answer
        {"response_id": "r2"},
        {"task_id": "t2"},
        {"task_id": "t2", "attempt": 2},
        {"task_id": "t2", "called_at": at(1, 14)},
        {"task_id": None},  # nothing tells these two apart: they are two
        {"task_id": None},
    )
    assert sum(row[0] for row in usage(wh, "calls")) == 8
    assert sum(row[0] for row in usage(wh, "tasks")) == 2


def test_calls_without_a_feature(home: Home, wh: Warehouse) -> None:
    load(home, wh, {"feature": None})
    assert usage(wh, "feature, calls") == [("unallocated", 1)]


def test_tokens_by_kind_and_unknown_ones(home: Home, wh: Warehouse) -> None:
    load(home, wh, {"cache_read_tokens": 5, "gpu_seconds": 0.1}, {"task_id": "t2", "gpu_seconds": 0.2, "tool_calls": 3})
    kinds = "input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens"
    assert usage(wh, f"{kinds}, tool_calls, gpu_seconds") == [(200, 5, None, 20, None, 3, pytest.approx(0.3))]
    # gpt-5-mini: 200 in at $0.25, 5 cached at $0.025, 20 out at $2 per million.
    assert usage(wh, "estimated_cost_usd") == [(Decimal("0.000090125"),)]
