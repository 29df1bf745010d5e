"""OpenRouter's own rules: thirty completed days, keys of one's own, disjoint tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Window
from connectors.errors import ConfigError, PayloadError
from connectors.openrouter import OpenRouter, OpenRouterOptions
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.conformance.world import FAST
from tests.servers.json_api import Fault, serve
from tests.servers.openrouter import Activity, OpenRouterStub

DAY = date(2026, 1, 30)


@pytest.fixture
def stub() -> Iterator[OpenRouterStub]:
    with serve(OpenRouterStub(vary=False)) as api:
        assert isinstance(api, OpenRouterStub)
        yield api


def connect(stub: OpenRouterStub) -> OpenRouter:
    settings = {"management_key": stub.management_key, "base_url": f"{stub.url}/api/v1"}
    return OpenRouter(name="router", options=OpenRouterOptions.model_validate(settings), retry=FAST)


def days(stub: OpenRouterStub, window: Window) -> list[date]:
    return [day for ref in connect(stub).discover(window) for day in ref.window.days()]


def test_a_row_becomes_a_charge_and_disjoint_usage(stub: OpenRouterStub, tmp_path: Path) -> None:
    stub.activity = [Activity(DAY, Decimal("0.015"), byok_dollars=Decimal("0.012"))]
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    rows = {layout: {k: v for k, v in row.items() if v is not None} for _, layout, row in ledger.rows}
    assert rows["charges"]["effective_cost"] == Decimal("0.015")
    assert rows["charges"]["sku_meter"] == "openai/gpt-4.1"
    assert rows["charges"]["model"] == "gpt-4.1"
    assert rows["charges"]["consumed_quantity"] == 175
    assert rows["metered_usage"] == {
        "usage_date": DAY,
        "model": "gpt-4.1",
        "requests": 5,
        "input_tokens": 50,
        "output_tokens": 100,
        "reasoning_tokens": 25,
    }
    assert ledger.notes == ["0.012 USD ran on keys of your own: its providers bill it, so it is not a charge here"]


@pytest.mark.parametrize("kept", [1, 2, 7, 29, 30])
def test_days_that_are_no_longer_kept_are_left_out_with_a_note(stub: OpenRouterStub, tmp_path: Path, kept: int) -> None:
    stub.oldest_day = DAY - timedelta(days=kept - 1)
    window = Window(DAY - timedelta(days=99), DAY + timedelta(days=1))
    assert days(stub, window) == [stub.oldest_day + timedelta(days=n) for n in range(kept)]
    assert len(stub.requests) <= 9
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), window)
    assert ledger.notes == [f"OpenRouter gives 30 days: nothing before {stub.oldest_day} can be read"]


def test_a_day_is_asked_for_once(stub: OpenRouterStub, tmp_path: Path) -> None:
    Ledger(tmp_path).run(connect(stub), Window(DAY - timedelta(days=4), DAY))
    assert [request.query["date"][0][-2:] for request in stub.requests] == ["29", "26", "27", "28"]


@pytest.mark.parametrize("unfinished", [0, 1, 2])
def test_days_that_are_not_over_wait(stub: OpenRouterStub, unfinished: int) -> None:
    stub.newest_day = DAY - timedelta(days=unfinished)
    assert days(stub, Window(DAY - timedelta(days=4), DAY + timedelta(days=1)))[-1] == stub.newest_day


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_a_window_of_which_nothing_is_given_is_an_error(stub: OpenRouterStub, length: int) -> None:
    stub.oldest_day = DAY
    with pytest.raises(ConfigError, match="Date must be within the last 30 days") as caught:
        days(stub, Window(DAY - timedelta(days=length), DAY))
    assert "set since" in caught.value.cure


def test_what_is_no_longer_kept_is_not_taken_away(stub: OpenRouterStub, tmp_path: Path) -> None:
    stub.activity = [Activity(DAY - timedelta(days=n), Decimal(1)) for n in range(10)]
    ledger = Ledger(tmp_path)
    window = Window(DAY - timedelta(days=9), DAY + timedelta(days=1))
    ledger.run(connect(stub), window)
    stub.oldest_day, stub.activity = DAY - timedelta(days=4), []
    ledger.run(connect(stub), window)
    assert ledger.totals() == {DAY - timedelta(days=n): Decimal(1) for n in range(5, 10)}


def row(**changes: Any) -> dict[str, Any]:
    return {"date": "2026-01-30", "model": "a/b", "usage": 1, "prompt_tokens": 1, "completion_tokens": 2, **changes}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"data": None}, "field 'data'"),
        ({"data": [row(date="2026-01-29")]}, "2026-01-29 is not the day asked for"),
        ({"data": [row(date="30.01.2026")]}, "field 'date'"),
        ({"data": [row(date="2026-01-30 12:00:00")]}, "field 'date'"),
        ({"data": [row(date=None)]}, "field 'date'"),
        ({"data": [row(usage=None)]}, r"activity-2026-01-30.json data\[0\]: field 'usage'"),
        ({"data": [row(usage="a lot")]}, "field 'usage'"),
        ({"data": [row(prompt_tokens=-1)]}, "field 'prompt_tokens'"),
        ({"data": [row(reasoning_tokens=3)]}, "field 'reasoning_tokens': expected at most"),
    ],
)
def test_a_malformed_answer_names_page_and_field(
    stub: OpenRouterStub, tmp_path: Path, document: Any, complaint: str
) -> None:
    stub.fault_for_ever = Fault("garbage", body=json.dumps(document))
    with pytest.raises(PayloadError, match=complaint):
        Ledger(tmp_path).run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
