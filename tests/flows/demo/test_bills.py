"""The bills and the telemetry tell one story, and the real connectors read it without a complaint."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from connectors.base import Rows
from connectors.events import Events, EventsOptions
from connectors.openai import OpenAI, OpenAIOptions
from flows.demo.aws_bill import SCHEMA
from flows.demo.company import LAST_DAY, START, Company, LlmFeature
from flows.demo.openai_server import DEMO_ADMIN_KEY, OpenAIServer
from flows.demo.traffic import Traffic
from flows.demo.world import DemoWorld
from tests.flows.demo.landed import WHOLE, deliveries

KINDS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
WORDS = {
    "input-tokens": "input_tokens",
    "cache-read-input-token-count": "cache_read_tokens",
    "cache-write-input-token-count": "cache_write_tokens",
    "output-tokens": "output_tokens",
}


@pytest.fixture(scope="module")
def server(world: DemoWorld) -> Iterator[OpenAIServer]:
    with world.openai_server() as running:
        yield running


@pytest.fixture(scope="module")
def openai_charges(server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    options = OpenAIOptions.model_validate({"admin_key": DEMO_ADMIN_KEY, "base_url": server.base_url})
    rows: list[dict[str, Any]] = []
    for parsed in deliveries(OpenAI(name="openai", options=options), tmp_path_factory.mktemp("openai")):
        assert not parsed.notes
        for part in parsed.parts:
            assert isinstance(part, Rows)
            if part.layout == "charges":
                rows += part.table.to_pylist()
    return rows


@pytest.fixture(scope="module")
def events(world: DemoWorld) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for path in sorted((world.home / "demo" / "events").iterdir()):
        lines += [json.loads(line) for line in path.read_text().splitlines()]
    return lines


def tokens_of(company: Company, traffic: Traffic, feature: LlmFeature) -> dict[tuple[str, str], int]:
    """(model, kind) → billed tokens of all days but the two newest, which reach the bill late."""
    calls = traffic.calls[feature.slug]
    complete = calls.day < (LAST_DAY - START).days - 1
    found = {}
    for model, rows in ((feature.large, ~calls.is_small), (feature.small, calls.is_small)):
        for kind in KINDS:
            found[model.name, kind] = int(getattr(calls, kind)[rows & complete].sum())
    return found


def test_the_export_has_the_columns_of_focus_1_2_at_aws(world: DemoWorld) -> None:
    assert len(SCHEMA) == 60
    assert [name for name in SCHEMA.names if name.startswith("x_")] == ["x_Discounts", "x_Operation", "x_ServiceCode"]
    for path in (world.home / "demo" / "aws").rglob("*.parquet"):
        assert pq.read_schema(path).equals(SCHEMA)
    for manifest in (world.home / "demo" / "aws").rglob("*-Manifest.json"):
        keys = [name.split("/", 3)[3] for name in json.loads(manifest.read_text())["dataFiles"]]
        assert keys
        for key in keys:
            assert (world.home / "demo" / "aws" / key).is_file()
        assert {key.split("/")[3] for key in keys} == {manifest.parent.name}


def test_the_aws_bill_looks_like_one(aws_rows: list[dict[str, Any]]) -> None:
    assert {row["ChargeCategory"] for row in aws_rows} == {"Usage", "Purchase", "Tax", "Credit", "Adjustment"}
    assert any(row["BilledCost"] < 0 for row in aws_rows)
    assert any(row["BilledCost"] > 5_000 and row["EffectiveCost"] == 0 for row in aws_rows)
    assert sum(row["CommitmentDiscountStatus"] == "Unused" for row in aws_rows) > 20
    assert max(-row["BilledCost"].as_tuple().exponent for row in aws_rows) >= 9
    for row in aws_rows:
        start, period = row["ChargePeriodStart"], row["BillingPeriodStart"]
        assert (start.year, start.month) == (period.year, period.month)
        assert period.day == 1
    hours = {(row["ChargePeriodEnd"] - row["ChargePeriodStart"]) for row in aws_rows if row["SkuMeter"] is not None}
    assert timedelta(hours=1) in hours
    assert timedelta(days=1) in hours
    newest = max(row["ChargePeriodStart"].date() for row in aws_rows)
    assert newest == LAST_DAY
    machines = {row["ResourceId"] for row in aws_rows if str(row["ResourceId"]).startswith("i-")}
    assert len(machines) > 100


def test_bedrock_tokens_on_the_bill_are_those_of_the_calls(
    company: Company, traffic: Traffic, aws_rows: list[dict[str, Any]]
) -> None:
    billed: Counter[tuple[str, str, str]] = Counter()
    for row in aws_rows:
        if row["ServiceName"] != "Amazon Bedrock" or (LAST_DAY - row["ChargePeriodStart"].date()).days < 2:
            continue
        feature = dict(row["Tags"]).get("user:feature")
        ending = next(ending for ending in WORDS if row["SkuMeter"].endswith(ending))
        per_unit = {"1K tokens": 1_000, "1M tokens": 1_000_000}[row["ConsumedUnit"]]
        if feature:
            model = row["SkuMeter"].removeprefix("USE1-").removesuffix(f"-{ending}")
            billed[feature, model, WORDS[ending]] += round(row["ConsumedQuantity"] * per_unit)
            assert row["BilledCost"] == pytest.approx(Decimal(repr(row["ConsumedQuantity"] * row["ListUnitPrice"])))
    expected: Counter[tuple[str, str, str]] = Counter()
    for feature_spec in company.llm:
        if feature_spec.large.provider == "aws":
            names = {model.name: model.billed_as for model in (feature_spec.large, feature_spec.small)}
            for (model_name, kind), tokens in tokens_of(company, traffic, feature_spec).items():
                expected[feature_spec.slug, names[model_name], kind] += tokens
    assert billed == expected
    assert len(billed) >= 16


def test_openai_costs_are_tokens_times_price(
    company: Company, traffic: Traffic, openai_charges: list[dict[str, Any]]
) -> None:
    words = {"input": "input_tokens", "cache_read": "cache_read_tokens", "output": "output_tokens"}
    for feature in company.llm:
        if feature.large.provider != "openai":
            continue
        tokens = tokens_of(company, traffic, feature)
        for model in (feature.large, feature.small):
            for word, kind in words.items():
                rows = [
                    row
                    for row in openai_charges
                    if row["api_key_id"] == feature.api_key_id
                    and row["model"] == model.name
                    and row["token_type"] == word
                    and (LAST_DAY - row["charge_date"]).days >= 2
                ]
                expected = tokens[model.name, kind]
                assert sum(row["consumed_quantity"] for row in rows) == expected
                price = getattr(model, kind.replace("_tokens", "_usd"))
                assert float(sum(row["billed_cost"] for row in rows)) == pytest.approx(float(expected * price / 10**6))


def test_every_key_but_the_planted_one_is_there_from_the_start(
    company: Company, openai_charges: list[dict[str, Any]]
) -> None:
    first_seen: dict[str, Any] = {}
    for row in openai_charges:
        key = row["api_key_id"]
        first_seen[key] = min(first_seen.get(key, row["charge_date"]), row["charge_date"])
    late = {key for key, day in first_seen.items() if day > START}
    assert late == ({company.untagged.api_key_id} - {None})


def test_the_real_connector_and_the_stand_in_agree_to_the_last_digit(
    world: DemoWorld, openai_charges: list[dict[str, Any]]
) -> None:
    answers = json.loads(world.openai_answers.read_text())
    stated = sum((Decimal(str(row["amount"]["value"])) for row in answers["costs"]), Decimal(0))
    assert sum((row["billed_cost"] for row in openai_charges), Decimal(0)) == stated
    assert len(openai_charges) == len(answers["costs"]) == world.openai_rows
    assert {type(row["amount"]["value"]) for row in answers["costs"]} == {str, float}


def test_no_line_of_telemetry_is_rejected_or_carries_more_than_the_schema(world: DemoWorld, tmp_path: Path) -> None:
    source = Events(
        name="calls",
        options=EventsOptions.model_validate(
            {"location": str(world.home / "demo" / "events"), "user_hash_key": "a-key-for-this-test"}
        ),
    )
    notes = [note for parsed in deliveries(source, tmp_path) for note in parsed.notes]
    # The self-hosted model has no prompt cache, and a call before its outcome has none.
    assert [note for note in notes if "rejected" in note or "dropped" in note] == []
    assert WHOLE.start == START


def test_the_log_tells_tasks_apart_and_repeats_few_lines(
    world: DemoWorld, traffic: Traffic, events: list[dict[str, Any]]
) -> None:
    identifiers = Counter(event["response_id"] for event in events)
    assert 0 < sum(count - 1 for count in identifiers.values()) < 0.002 * len(events)
    assert len(identifiers) == sum(len(calls) for calls in traffic.calls.values())
    once = {event["response_id"]: event for event in events}
    outcomes = Counter(event["task_id"] for event in once.values() if "outcome" in event)
    assert set(outcomes.values()) == {1}
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert len(events) == world.event_lines


def test_a_retry_names_its_attempt(company: Company, events: list[dict[str, Any]]) -> None:
    storm = company.planted_as("retry_storm")
    share = {True: [0, 0], False: [0, 0]}
    for event in events:
        if event["feature"] == storm.node:
            seen = share[event["time"][:10] > storm.onset.isoformat()]
            seen[0] += event["attempt"] > 1
            seen[1] += 1
    quiet, stormy = (share[is_storm][0] / share[is_storm][1] for is_storm in (False, True))
    assert quiet < 0.1
    assert stormy > 0.4


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/organization/costs?start_time=1782172800&limit=181", 400),
        ("/organization/costs", 400),
        ("/organization/costs?start_time=1782172800&group_by[]=colour", 400),
        ("/organization/costs?start_time=1782172800&page=nonsense", 400),
        ("/organization/usage/completions?start_time=1782172800&limit=32", 400),
        ("/organization/usage/nothing?start_time=1782172800", 404),
        ("/organization/projects/proj_unknown/api_keys", 404),
        ("/organization/costs?start_time=x", 400),
    ],
)
def test_the_stand_in_refuses_what_the_provider_refuses(server: OpenAIServer, path: str, status: int) -> None:
    answer = httpx.get(server.base_url + path, headers={"Authorization": f"Bearer {DEMO_ADMIN_KEY}"})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_the_stand_in_wants_its_key(server: OpenAIServer) -> None:
    answer = httpx.get(f"{server.base_url}/organization/projects", headers={"Authorization": "Bearer sk-other"})
    assert answer.status_code == 401


def test_the_stand_in_pages_and_groups(server: OpenAIServer, world: DemoWorld) -> None:
    start = 1_782_172_800  # 2026-06-23
    query: dict[str, str | int] = {"start_time": start, "end_time": start + 31 * 86_400, "limit": 31}
    days: list[int] = []
    totals: list[Decimal] = []
    with httpx.Client(headers={"Authorization": f"Bearer {DEMO_ADMIN_KEY}"}) as client:
        while True:
            page = client.get(f"{server.base_url}/organization/costs", params=query).json()
            for bucket in page["data"]:
                days.append(bucket["start_time"])
                # Without group_by a day is one row, with every dimension null.
                (row,) = bucket["results"]
                assert (row["project_id"], row["line_item"], row["api_key_id"], row["quantity"]) == (None,) * 4
                totals.append(Decimal(str(row["amount"]["value"])))
            if not page["has_more"]:
                assert page["next_page"] is None
                break
            query["page"] = page["next_page"]
    assert days == [start + day * 86_400 for day in range(31)]
    rows = json.loads(world.openai_answers.read_text())["costs"]
    stated = sum(Decimal(str(row["amount"]["value"])) for row in rows if row["start_time"] in set(days))
    assert float(sum(totals)) == pytest.approx(float(stated))
    assert np.std([float(total) for total in totals]) > 0
