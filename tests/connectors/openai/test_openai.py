"""OpenAI's own rules: windows, line items, disjoint tokens, names, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Parsed, Rows, Window
from connectors.errors import PagingError, PayloadError, PermissionDenied
from connectors.openai import OpenAI, OpenAIOptions
from connectors.openai.fetch import DAYS_PER_DELIVERY, KEYS_KNOWN_SINCE, split_window
from connectors.openai.parse import read_line_item
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.conformance.world import FAST
from tests.connectors.in_warehouse import ingest, opened
from tests.servers.json_api import Fault, serve
from tests.servers.openai import Cost, OpenAIStub, Usage

DAY = date(2026, 1, 4)


@pytest.fixture
def stub() -> Iterator[OpenAIStub]:
    with serve(OpenAIStub(vary=False)) as api:
        assert isinstance(api, OpenAIStub)
        yield api


def connect(stub: OpenAIStub, **options: Any) -> OpenAI:
    settings = {"admin_key": stub.admin_key, "base_url": f"{stub.url}/v1", **options}
    return OpenAI(name="oa", options=OpenAIOptions.model_validate(settings), retry=FAST)


def parse(tmp_path: Path, **documents: Any) -> Parsed:
    """Parses payloads given as `costs_0001=…`; costs default to an empty page."""
    documents = {"costs_0001": {"data": [], "has_more": False}, **documents}
    files: dict[str, Path] = {}
    for name, document in documents.items():
        path = tmp_path / f"{name.replace('_', '-')}.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        files[path.name] = path
    connector = OpenAI(name="oa", options=OpenAIOptions.model_validate({"admin_key": "k"}))
    return connector.parse(files)


def page(*results: dict[str, Any], start_time: Any = 1767484800) -> dict[str, Any]:
    return {"object": "page", "data": [{"start_time": start_time, "results": list(results)}], "has_more": False}


def cost(value: Any = "1.5", **fields: Any) -> dict[str, Any]:
    return {"amount": {"value": value, "currency": "usd"}, **fields}


def table(parsed: Parsed, layout: str) -> pa.Table:
    return next(part.table for part in parsed.parts if isinstance(part, Rows) and part.layout == layout)


@given(st.dates(date(2025, 10, 1), date(2026, 3, 1)), st.integers(1, 150))
def test_windows_are_cut_without_gap_and_never_straddle_the_key_date(start: date, length: int) -> None:
    whole = Window(start, start + timedelta(days=length))
    parts = list(split_window(whole))
    assert [day for part in parts for day in part.days()] == list(whole.days())
    for part in parts:
        assert (part.end - part.start).days <= DAYS_PER_DELIVERY
        assert not part.start < KEYS_KNOWN_SINCE < part.end


def test_costs_are_grouped_by_key_only_where_the_provider_can(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(KEYS_KNOWN_SINCE + timedelta(days=n), Decimal(1), "x", "proj_a", "key_1") for n in (-1, 0)]
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(KEYS_KNOWN_SINCE - timedelta(days=3), KEYS_KNOWN_SINCE + timedelta(days=3)))
    keys = {row["charge_date"]: row["api_key_id"] for _, _, row in ledger.rows}
    assert keys == {KEYS_KNOWN_SINCE - timedelta(days=1): None, KEYS_KNOWN_SINCE: "key_1"}


def test_one_request_for_each_endpoint_of_a_window_and_names_once_a_run(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(1), "x", "proj_a", "key_1"), Cost(DAY, Decimal(1), "x", "proj_b")]
    connector = connect(stub, usage=["completions"])
    Ledger(tmp_path).run(connector, Window(date(2025, 12, 6), date(2026, 2, 1)))
    asked = [request.path.removeprefix("/v1/organization/") for request in stub.requests]
    assert asked.count("costs") == 2
    assert asked.count("usage/completions") == 2
    assert asked.count("projects") == 1
    assert asked.count("projects/proj_a/api_keys") == 1
    assert asked.count("projects/proj_b/api_keys") == 0


def test_names_come_along_and_personal_data_does_not(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(1), "x", "proj_a", "key_1")]
    stub.projects = {f"proj_{n}": f"Project {n}" for n in range(130)} | {"proj_a": "Support"}
    stub.api_keys = {"proj_a": {"key_1": "support-prod"}}
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    [(_, _, row)] = ledger.rows
    assert row["sub_account_name"] == "Support"
    assert row["tags"] == '{"api_key_name": "support-prod"}'
    assert not any("example.com" in path.read_text() for path in tmp_path.rglob("*.json"))


def test_a_name_that_was_cut_within_an_emoji_stops_no_bill(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(1), "x \ud83d\ude00 \ud83d", "proj_a")]
    stub.projects = {"proj_a": "Support \ud83d"}
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    [(_, _, row)] = ledger.rows
    assert (row["sku_meter"], row["sub_account_name"]) == ("x \U0001f600 \ufffd", "Support \ufffd")


def test_names_that_may_not_be_read_are_a_note(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(1), "x", "proj_a", "key_1")]
    stub.fault_paths, stub.fault_for_ever = "/projects", Fault(status=403)
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    assert [row["effective_cost"] for _, _, row in ledger.rows] == [Decimal(1)]
    assert any("no names of projects: HTTP 403" in note for note in ledger.notes)


def test_usage_refused_for_old_days_leaves_the_costs_and_a_note(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(1), "x", "proj_a")]
    stub.usage_lookback_exceeded = True
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    assert len(ledger.rows) == 1
    assert any(
        "usage of completions is not available" in n and "reporting_lookback_exceeded" in n for n in ledger.notes
    )


def test_a_meter_that_is_refused_later_keeps_what_it_told(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(1), "x", "proj_a")]
    kinds = ["completions", "embeddings"]
    stub.usage = [Usage(DAY, "gpt-5-nano", "proj_a", output_tokens=7, kind=kind) for kind in kinds]
    connector = connect(stub, usage=kinds)
    with opened(tmp_path) as wh:
        ingest(wh, tmp_path, connector, Window(DAY, DAY + timedelta(days=1)))
        stub.costs = [Cost(DAY, Decimal(2), "x", "proj_a")]
        stub.usage = [Usage(DAY, "gpt-5-nano", "proj_a", output_tokens=8, kind="embeddings", num_model_requests=1)]
        stub.fault_paths, stub.fault_for_ever = "completions", Fault(status=400)  # reporting_lookback_exceeded
        ingest(wh, tmp_path, connector, Window(DAY, DAY + timedelta(days=1)))
        metered = "SELECT usage_kind, sum(requests), count(*) FROM core.metered_usage GROUP BY ALL ORDER BY 1"
        assert wh.con.execute(metered).fetchall() == [("completions", 0, 1), ("embeddings", 1, 1)]
        assert wh.con.execute("SELECT sum(effective_cost) FROM core.charges").fetchall() == [(Decimal(2),)]


def test_usage_that_may_not_be_read_is_an_error(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.fault_paths, stub.fault_for_ever = "/usage", Fault(status=403)
    with pytest.raises(PermissionDenied, match="usage/completions"):
        Ledger(tmp_path).run(connect(stub), Window(DAY, DAY + timedelta(days=1)))


def test_check_tells_once_that_nobody_answers_and_each_refusal_for_itself(stub: OpenAIStub) -> None:
    stub.fault_for_ever = Fault(status=503)
    endpoints = [result.name for result in connect(stub).check()]
    assert endpoints[:2] == ["costs", "usage of completions"]
    assert len(stub.requests) == 2 * len(endpoints)  # a person waits for it
    (nobody,) = connect(stub, base_url="http://127.0.0.1:9/v1").check()
    assert (nobody.ok, nobody.name) == (False, ", ".join(endpoints))
    assert "cannot connect" in nobody.detail
    assert "base_url" in nobody.cure


def test_every_kind_of_usage_is_metered(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.usage = [
        Usage(DAY, "gpt-5", "proj_a", None, 100, 40, 10, 7, 3),
        Usage(DAY, "text-embedding-3-small", "proj_a", None, 500, num_model_requests=2, kind="embeddings"),
        Usage(DAY, "gpt-image-1", "proj_a", None, num_model_requests=4, kind="images"),
    ]
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    rows = {row["model"]: row for _, _, row in ledger.rows}
    assert [rows["gpt-5"][f"{kind}_tokens"] for kind in ("input", "cache_read", "cache_write", "output")] == [
        50,
        40,
        10,
        7,
    ]
    assert rows["text-embedding-3-small"]["input_tokens"] == 500
    assert rows["gpt-image-1"]["requests"] == 4


def test_what_is_not_metered_in_tokens_has_its_own_quantity(stub: OpenAIStub, tmp_path: Path) -> None:
    kinds = {
        "images": ("images", 3),
        "audio_speeches": ("characters", 5000),
        "audio_transcriptions": ("seconds", 61),
        "vector_stores": ("bytes", 10**10),
        "code_interpreter_sessions": ("sessions", 4),
        "file_search_calls": ("calls", 8),
        "web_search_calls": ("calls", 9),
    }
    stub.usage = [Usage(DAY, "m", "proj_a", kind=kind, quantity=count) for kind, (_, count) in kinds.items()]
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    found = {
        row["usage_kind"]: (row["quantity_unit"], row["quantity"])
        for _, layout, row in ledger.rows
        if layout == "metered_usage"
    }
    assert found == kinds
    assert not ledger.notes


def test_hours_are_read_page_by_page_and_refused_kinds_are_told(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.usage = [
        Usage(DAY + timedelta(days=day), "gpt-5-nano", "proj_a", None, 1000, 400, 0, 77, 3, hour=hour)
        for day in range(3)
        for hour in (0, 7, 23)
    ]
    since = datetime(2026, 1, 4, tzinfo=UTC)
    connector = connect(stub, usage=["completions", "embeddings"])
    [ref] = connector.discover_hours(since, since + timedelta(days=2, hours=8))
    assert (ref.replaces, ref.window) == ("hours", Window(DAY, DAY + timedelta(days=3)))
    files = {}
    for payload in connector.fetch(ref):
        files[payload.name] = tmp_path / payload.name
        files[payload.name].write_bytes(b"".join(payload.chunks))
    rows = table(connector.parse(files), "metered_hours").to_pylist()
    assert [row["usage_hour"].hour for row in rows] == [0, 7, 23, 0, 7, 23, 0, 7]
    assert {(row["input_tokens"], row["cache_read_tokens"], row["requests"]) for row in rows} == {(600, 400, 3)}
    assert len(stub.requests) == 2
    assert list(connect(stub, usage=[]).discover_hours(since, since + timedelta(hours=8))) == []


def test_a_day_that_was_not_asked_for_is_an_error(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.faults = [Fault("garbage", body=json.dumps(page(cost(), start_time=1767398400)))]
    with pytest.raises(PayloadError, match="2026-01-03 is outside the days asked for"):
        Ledger(tmp_path).run(connect(stub), Window(DAY, DAY + timedelta(days=1)))


def test_a_restated_day_replaces_what_stood(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(10), "x", "proj_a"), Cost(DAY - timedelta(days=1), Decimal(1), "x", "proj_a")]
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub), Window(DAY - timedelta(days=3), DAY + timedelta(days=1)))
    stub.restate(DAY, Decimal("0.5"))
    ledger.run(connect(stub), Window(DAY, DAY + timedelta(days=1)))
    assert ledger.totals() == {DAY: Decimal(5), DAY - timedelta(days=1): Decimal(1)}


@pytest.mark.parametrize(
    ("line_item", "expected"),
    [
        ("gpt-5-nano, input_tokens", ("gpt-5-nano", "input")),
        ("gpt-4o-2024-08-06, input", ("gpt-4o-2024-08-06", "input")),
        ("gpt-4o-2024-08-06, cached input", ("gpt-4o-2024-08-06", "cache_read")),
        ("gpt-5-nano, cached_input_tokens", ("gpt-5-nano", "cache_read")),
        ("gpt-5.2, cache_write_tokens", ("gpt-5.2", "cache_write_5m")),
        ("gpt-4o-2024-08-06, output", ("gpt-4o-2024-08-06", "output")),
        ("o3, reasoning_tokens", ("o3", "reasoning")),
        ("gpt-realtime, audio input tokens", ("gpt-realtime", "input")),
        ("gpt-5, batch cached input", ("gpt-5", "cache_read")),
        ("ft:gpt-4o:acme::x1, output", ("ft:gpt-4o:acme::x1", "output")),
        ("assistants api | file search", (None, None)),
        ("web search tool calls", (None, None)),
        ("gpt-5, surprise", (None, None)),
        ("a, b, input", (None, None)),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_line_items(line_item: str | None, expected: tuple[str | None, str | None]) -> None:
    assert read_line_item(line_item) == expected


def test_duplicate_rows_are_added_exactly(tmp_path: Path) -> None:
    results = [cost("0.1", quantity=1), cost("0.2", quantity="2"), cost("1E-7"), cost("-0.05", project_id="proj_a")]
    charges = table(parse(tmp_path, costs_0001=page(*results, cost("0.3"))), "charges")
    assert charges["billed_cost"].to_pylist() == [Decimal("-0.05"), Decimal("0.6000001")]
    assert charges["consumed_quantity"].to_pylist() == [None, Decimal(3)]


def test_what_a_second_page_says_again_counts_once_and_another_part_of_the_day_counts(tmp_path: Path) -> None:
    first = page(cost("0.1"), cost("0.2"), cost("-0.05", project_id="proj_a", line_item=""))
    second = page(cost(0.2, api_key_id=None), cost("-5e-2", project_id="proj_a"), cost("7", project_id="proj_b"))
    parsed = parse(tmp_path, costs_0001=first, costs_0002=second)
    assert table(parsed, "charges")["billed_cost"].to_pylist() == [Decimal("-0.05"), Decimal(7), Decimal("0.3")]
    assert "costs: 2 rows came on two pages: counted once" in parsed.notes
    with pytest.raises(PagingError, match="came twice, with two figures for proj_a"):
        parse(tmp_path, costs_0001=first, costs_0002=page(cost("-0.06", project_id="proj_a")))


@given(values=st.lists(st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=12), max_size=8))
def test_no_digit_of_an_amount_is_lost(values: list[Decimal], tmp_path_factory: pytest.TempPathFactory) -> None:
    text = json.dumps(page(*(cost("@", line_item=f"item {n}") for n in range(len(values)))))
    for n, value in enumerate(values):
        text = text.replace('"@"', format(value, "f") if n % 2 else f'"{value}"', 1)
    charges = table(parse(tmp_path_factory.mktemp("parse"), costs_0001=text), "charges")
    assert sum(charges["effective_cost"].to_pylist()) == sum(values)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"has_more": False}, "costs-0001.json: field 'data'"),
        ({"data": [1]}, r"costs-0001.json data\[0\]"),
        ({"data": [{"results": []}]}, "field 'start_time'"),
        (page(start_time=1767484801), "UTC midnight"),
        (page(cost("abc")), r"costs-0001.json data\[0\].results\[0\]: field 'value': expected a number.* abc"),
        (page(cost("NaN")), "finite"),
        (page(cost("1e999999999")), "field 'value'.* below"),
        ('{"data": [{"start_time": 1e400, "results": []}]}', "field 'start_time'"),
        (page(start_time="0001-01-01T00:00:00+14:00"), "field 'start_time'"),
        (page(cost(quantity="9e25"), cost(quantity="9e25")), "consumed_quantity is larger"),
        (page(cost(True)), "field 'value'"),
        (page(cost(None)), "field 'value'"),
        (page({"amount": None}), "field 'amount'"),
        (page({"amount": {"value": 1}}), "field 'currency'"),
        (page({"amount": {"value": 1, "currency": "dollars"}}), "field 'currency'"),
        (page(cost(project_id=7)), "field 'project_id'"),
        ("[]", "expected a JSON object"),
        ('{"data": [', "malformed JSON .line 1"),
    ],
)
def test_a_malformed_page_is_an_error_that_names_page_and_field(tmp_path: Path, document: Any, complaint: str) -> None:
    with pytest.raises(PayloadError, match=complaint):
        parse(tmp_path, costs_0001=document)


def test_usage_whose_parts_exceed_the_whole_is_an_error(tmp_path: Path) -> None:
    usage = page({"input_tokens": 10, "input_cached_tokens": 11, "model": "gpt-5"})
    with pytest.raises(PayloadError, match="less than its cached part"):
        parse(tmp_path, usage_completions_0001=usage)


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"batch": True, "service_tier": "default"}, "batch"),
        ({"service_tier": "default"}, "standard"),
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "scale"}, "provisioned"),
        ({"batch": False, "service_tier": None}, None),
    ],
)
def test_pricing_tiers(tmp_path: Path, fields: dict[str, Any], tier: str | None) -> None:
    parsed = parse(tmp_path, usage_completions_0001=page({"input_tokens": 1, **fields}))
    assert table(parsed, "metered_usage")["pricing_tier"].to_pylist() == [tier]
    assert parsed.notes == ()


def test_an_unknown_tier_is_reported(tmp_path: Path) -> None:
    parsed = parse(tmp_path, usage_completions_0001=page({"input_tokens": 1, "service_tier": "turbo"}))
    assert any("turbo" in note for note in parsed.notes)


def test_the_organization_is_the_billing_account(stub: OpenAIStub, tmp_path: Path) -> None:
    stub.costs = [Cost(DAY, Decimal(1), "x", "proj_a")]
    ledger = Ledger(tmp_path)
    ledger.run(connect(stub, organization="org-1", project_ids=["proj_a"]), Window(DAY, DAY + timedelta(days=1)))
    assert ledger.rows[0][2]["billing_account_id"] == "org-1"
    assert stub.requests[0].headers["openai-organization"] == "org-1"
    assert stub.requests[0].query["project_ids[]"] == ["proj_a"]
