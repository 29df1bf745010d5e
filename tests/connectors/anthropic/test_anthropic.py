"""Anthropic's own rules: cents, the split over keys, regions and context windows, Priority Tier."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.anthropic import Anthropic, AnthropicOptions
from connectors.base import Parsed, Rows, Window
from connectors.errors import PayloadError
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.conformance.world import FAST
from tests.servers.anthropic import AnthropicStub, Charge, Use
from tests.servers.json_api import Fault, serve

DAY = date(2026, 1, 4)
ONE_DAY = Window(DAY, DAY + timedelta(days=1))


@pytest.fixture
def stub() -> Iterator[AnthropicStub]:
    with serve(AnthropicStub(vary=False)) as api:
        assert isinstance(api, AnthropicStub)
        yield api


def connect(stub: AnthropicStub, **options: Any) -> Anthropic:
    settings = {"admin_key": stub.admin_key, "base_url": stub.url, **options}
    return Anthropic(name="claude", options=AnthropicOptions.model_validate(settings), retry=FAST)


def charges(ledger: Ledger) -> list[dict[str, Any]]:
    return [row for _, layout, row in ledger.rows if layout == "charges"]


def load(stub: AnthropicStub, folder: Path, window: Window = ONE_DAY) -> Ledger:
    ledger = Ledger(folder)
    ledger.run(connect(stub), window)
    return ledger


def parse(folder: Path, *, cost: Any = None, usage: Any = None) -> Parsed:
    empty = {"data": [], "has_more": False}
    about = {"missing": [], "workspaces": {}, "api_keys": {}, "window": ["2026-01-04", "2026-01-05"]}
    documents = {
        "cost-0001.json": cost or empty,
        "usage-by-context_window-0001.json": usage or empty,
        "about.json": about,
    }
    files: dict[str, Path] = {}
    for name, document in documents.items():
        files[name] = folder / name
        files[name].write_text(json.dumps(document))
    return Anthropic(name="claude", options=AnthropicOptions.model_validate({"admin_key": "k"})).parse(files)


def page(*results: dict[str, Any], **bucket: Any) -> dict[str, Any]:
    return {"data": [{"starting_at": "2026-01-04T00:00:00Z", "results": list(results), **bucket}], "has_more": False}


def cost(amount: Any = "100", **fields: Any) -> dict[str, Any]:
    described = {"cost_type": "tokens", "model": "m", "token_type": "output_tokens", "service_tier": "standard"}
    return {"amount": amount, "currency": "USD", "description": "M Usage - Output Tokens", **described, **fields}


def used(key: str | None, count: int, **fields: Any) -> dict[str, Any]:
    return {"api_key_id": key, "model": "m", "service_tier": "standard", "output_tokens": count, **fields}


def table(parsed: Parsed, layout: str) -> pa.Table:
    return next(part.table for part in parsed.parts if isinstance(part, Rows) and part.layout == layout)


def by_key(parsed: Parsed) -> dict[str | None, Decimal]:
    found = table(parsed, "charges")
    return dict(zip(found["api_key_id"].to_pylist(), found["effective_cost"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("cents", "dollars"),
    [("123.45", "1.2345"), ("123.78912", "1.2378912"), (100, "1"), ("0.0000000001", "0.000000000001"), ("-5", "-0.05")],
)
def test_cents_become_dollars_exactly(tmp_path: Path, cents: Any, dollars: str) -> None:
    assert by_key(parse(tmp_path, cost=page(cost(cents)))) == {None: Decimal(dollars)}


def test_a_cost_is_split_by_the_meter_it_charges(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.uses = [
        Use(DAY, "apikey_1", "wrkspc_1", {"output_tokens": 300, "cache_read_input_tokens": 0}),
        Use(DAY, "apikey_2", "wrkspc_1", {"output_tokens": 100, "cache_read_input_tokens": 5000}),
        Use(DAY, None, "wrkspc_1", {"output_tokens": 100}),
        Use(DAY, "apikey_3", None, {"output_tokens": 7}),
    ]
    stub.workspaces, stub.api_keys = {"wrkspc_1": "Support"}, {"apikey_1": "support-prod"}
    rows = {(r["sub_account_name"], r["api_key_id"], r["token_type"]): r for r in charges(load(stub, tmp_path))}
    output = {key: row["effective_cost"] for key, row in rows.items() if key[2] == "output"}
    assert output == {
        ("Support", "apikey_1", "output"): Decimal("0.0045"),
        ("Support", "apikey_2", "output"): Decimal("0.0015"),
        ("Support", None, "output"): Decimal("0.0015"),
        ("Default workspace", "apikey_3", "output"): Decimal("0.000105"),
    }
    assert rows["Support", "apikey_2", "cache_read"]["effective_cost"] == Decimal("0.0015")
    assert ("Support", "apikey_1", "cache_read") not in rows
    assert rows["Support", "apikey_1", "output"]["consumed_quantity"] == 300
    assert rows["Support", "apikey_1", "output"]["tags"] == '{"api_key_name": "support-prod"}'
    assert rows["Support", "apikey_1", "output"]["sku_id"] == (
        "claude-sonnet-4-5-20250929/output_tokens/standard/0-200k/global"
    )


@given(
    cents=st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=9),
    counts=st.lists(st.integers(0, 10**12), min_size=1, max_size=9),
)
def test_a_split_conserves_every_digit_and_gives_the_rest_to_the_largest(
    cents: Decimal, counts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    usage = page(*(used(f"key_{n}", count) for n, count in enumerate(counts)))
    parts = by_key(parse(tmp_path_factory.mktemp("split"), cost=page(cost(str(cents))), usage=usage))
    dollars, whole = cents / 100, sum(counts)
    assert sum(parts.values()) == dollars.quantize(Decimal("1E-12"))
    if whole:
        largest = f"key_{counts.index(max(counts))}"
        for n, count in enumerate(counts):
            exact = dollars * count / whole
            bound = Decimal("1E-11") if f"key_{n}" == largest else Decimal("6E-13")
            assert abs(parts.get(f"key_{n}", Decimal(0)) - exact) <= bound
    else:
        assert set(parts) == {None}


def test_a_cost_without_usage_keeps_its_dollars_and_a_note_says_so(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.charges = [Charge(DAY, "wrkspc_1", Decimal("250"))]
    stub.uses = [Use(DAY, "apikey_1", "wrkspc_1", {"output_tokens": 100})]
    ledger = load(stub, tmp_path)
    assert {(row["api_key_id"], row["effective_cost"]) for row in charges(ledger)} == {
        (None, Decimal("2.5")),
        ("apikey_1", Decimal("0.0015")),
    }
    assert any("1 costs (2.500000000000 USD) match no usage of a key" in note for note in ledger.notes)


def test_regions_are_asked_for_where_they_tell_costs_apart(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.uses = [
        Use(DAY, "apikey_1", None, {"output_tokens": 1000}, inference_geo="us"),
        Use(DAY, "apikey_2", None, {"output_tokens": 1000}, inference_geo="global"),
    ]
    ledger = load(stub, tmp_path)
    assert {row["api_key_id"]: row["effective_cost"] for row in charges(ledger)} == {
        "apikey_1": Decimal("0.0165"),  # regions cost a tenth more
        "apikey_2": Decimal("0.015"),
    }
    groups = [r.query["group_by[]"] for r in stub.requests if "usage_report" in r.path]
    assert [len(group) for group in groups] == [5, 5]
    metered = [row for _, layout, row in ledger.rows if layout == "metered_usage"]
    assert sum(row["output_tokens"] for row in metered) == 2000


def test_one_usage_report_is_enough_otherwise(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.uses = [
        Use(DAY, f"apikey_{w}", None, {"output_tokens": 1000}, context_window=w) for w in ("0-200k", "200k-1M")
    ]
    ledger = load(stub, tmp_path)
    assert all(row["consumed_quantity"] == 1000 for row in charges(ledger))
    assert [request.path.rpartition("/")[2] for request in stub.requests] == [
        "cost_report",
        "messages",
        "workspaces",
        "api_keys",
    ]


def test_costs_that_draw_on_the_same_usage_have_no_quantity(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.uses = [
        Use(DAY, f"apikey_{geo}", None, {"output_tokens": 1000}, inference_geo=geo, context_window=window)
        for geo in ("us", "global")
        for window in ("0-200k", "200k-1M")
    ]
    ledger = load(stub, tmp_path)
    assert sum(ledger.totals().values()) == sum(line["cents"] for line in stub.cost_cents()) / 100
    assert all(row["consumed_quantity"] is None for row in charges(ledger))
    assert any("draw on usage that another cost draws on too" in note for note in ledger.notes)


def test_a_split_falls_back_to_model_and_meter(tmp_path: Path) -> None:
    parsed = parse(tmp_path, cost=page(cost("100", service_tier="flex")), usage=page(used("k", 5)))
    assert by_key(parsed) == {"k": Decimal(1)}
    assert any("1 costs were split by usage of the same model and meter" in note for note in parsed.notes)


def test_priority_tier_is_metered_takes_no_cost_and_is_named(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.uses = [
        Use(DAY, "apikey_1", None, {"output_tokens": 1000}),
        Use(DAY, "apikey_2", None, {"output_tokens": 9000}, service_tier="priority"),
    ]
    ledger = load(stub, tmp_path)
    assert {row["api_key_id"] for row in charges(ledger)} == {"apikey_1"}
    metered = {r["pricing_tier"]: r["output_tokens"] for _, layout, r in ledger.rows if layout == "metered_usage"}
    assert metered == {"standard": 1000, "priority": 9000}
    assert [note for note in ledger.notes if note.startswith("Priority Tier: 9000 tokens")]


def test_web_searches_are_split_by_searches(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.uses = [Use(DAY, f"apikey_{n}", None, {"web_search_requests": n, "output_tokens": 1}) for n in (1, 3)]
    rows = [row for row in charges(load(stub, tmp_path)) if row["sku_meter"] == "Web Search Usage"]
    assert {row["api_key_id"]: (row["effective_cost"], row["consumed_unit"]) for row in rows} == {
        "apikey_1": (Decimal("0.01"), "requests"),
        "apikey_3": (Decimal("0.03"), "requests"),
    }


def test_the_newest_day_alone_is_asked_for_with_the_day_before(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.newest_day = DAY
    stub.uses = [Use(DAY - timedelta(days=n), "apikey_1", None, {"output_tokens": 1000 + n}) for n in (0, 1)]
    ledger = load(stub, tmp_path)
    assert ledger.totals() == {DAY: Decimal("0.015")}


def test_windows_are_short_enough_and_the_newest_one_is_long(stub: AnthropicStub) -> None:
    parts = [ref.window for ref in connect(stub).discover(Window(date(2025, 1, 1), date(2025, 3, 3)))]
    assert [(part.end - part.start).days for part in parts] == [1, 30, 30]


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        ({"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}, 7),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 3}}, 3),
        ({"cache_creation_input_tokens": 9}, 9),
        ({"cache_creation": None}, None),
        ({}, None),
    ],
)
def test_cache_writes_are_never_invented(tmp_path: Path, usage: dict[str, Any], written: int | None) -> None:
    parsed = parse(tmp_path, usage=page({"model": "m", **usage}))
    assert table(parsed, "metered_usage")["cache_write_tokens"].to_pylist() == [written]


def test_new_kinds_of_tokens_are_reported(tmp_path: Path) -> None:
    usage = page({"model": "m", "cache_creation": {"ephemeral_24h_input_tokens": 3}})
    parsed = parse(tmp_path, cost=page(cost(token_type="thinking_tokens")), usage=usage)
    assert any("ephemeral_24h_input_tokens" in note for note in parsed.notes)
    assert any("unknown token type 'thinking_tokens'" in note for note in parsed.notes)
    assert by_key(parsed) == {None: Decimal(1)}


def test_an_empty_report_says_so(tmp_path: Path) -> None:
    assert "the cost report holds no row from 2026-01-04 to 2026-01-05" in parse(tmp_path).notes


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (page(cost("12,3")), r"cost-0001.json data\[0\].results\[0\]: field 'amount'"),
        (page(cost(None)), "field 'amount': expected an amount, got null"),
        (page(cost({"amount": 1})), "field 'amount'"),
        (page(cost(currency="EUR")), "field 'currency': expected USD"),
        (page(cost(currency=None)), "field 'currency'"),
        (page(cost(), starting_at="2026-01-04T10:00:00Z"), "UTC midnight"),
        (page(cost(), starting_at="2026-01-04"), "offset"),
        (page(cost(), results={}), "field 'results': expected a list"),
    ],
)
def test_a_malformed_report_is_an_error_that_names_page_and_field(
    tmp_path: Path, document: Any, complaint: str
) -> None:
    with pytest.raises(PayloadError, match=complaint):
        parse(tmp_path, cost=document)


def test_a_delivery_that_is_not_whole_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match="not whole"):
        Anthropic(name="claude", options=AnthropicOptions.model_validate({"admin_key": "k"})).parse({})


def test_names_that_may_not_be_read_are_a_note(stub: AnthropicStub, tmp_path: Path) -> None:
    stub.uses = [Use(DAY, "apikey_1", "wrkspc_1", {"output_tokens": 1000})]
    stub.fault_paths, stub.fault_for_ever = "/api_keys", Fault(status=403)
    ledger = load(stub, tmp_path)
    assert len(charges(ledger)) == 1
    assert any("no names of api keys: HTTP 403" in note for note in ledger.notes)


def test_the_version_header_and_the_key_are_sent(stub: AnthropicStub, tmp_path: Path) -> None:
    load(stub, tmp_path)
    assert {request.headers["anthropic-version"] for request in stub.requests} == {"2023-06-01"}
    assert all("authorization" not in request.headers for request in stub.requests)
