"""Bedrock's logs: whose days, which files, and that no body is kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Window
from connectors.bedrock_logs import BedrockLogs, BedrockLogsOptions
from connectors.bedrock_logs.parse import read_invocation
from connectors.calls.projection import Projection
from connectors.calls.rules import read_tier
from tests.connectors.bedrock_logs.world import BASE, invocation
from tests.connectors.conformance.ledger import Ledger
from tests.servers.s3 import BucketSite, FolderSite, Moto, moto_server, use_test_credentials

MOMENT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
WINDOW = Window(date(2026, 1, 4), date(2026, 1, 7))
FILE = f"logs/{BASE}/2026/01/05/09/20260105T093000000Z_1.json.gz"


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_server() as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> FolderSite | BucketSite:
    use_test_credentials(monkeypatch)
    return FolderSite(tmp_path / "site") if request.param == "folder" else BucketSite(moto)


def connect(site: FolderSite | BucketSite, **options: Any) -> BedrockLogs:
    settings = BedrockLogsOptions.model_validate({**site.options("logs"), "user_hash_key": "k", **options})
    return BedrockLogs(name="bedrock", options=settings)


def put(site: FolderSite | BucketSite, name: str, *records: dict[str, Any]) -> None:
    site.put(name, gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))


def test_a_days_files_are_one_delivery_and_bodies_are_never_read(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    put(site, FILE, invocation(1, MOMENT), invocation(2, MOMENT, errorCode="ThrottlingException", output={}))
    put(site, FILE.replace("/09/", "/23/"), invocation(3, MOMENT))
    put(site, FILE.replace("01/05/09", "01/06/00"), invocation(4, MOMENT.replace(day=6)))
    put(site, FILE.replace("01/05/09", "01/09/00"), invocation(5, MOMENT.replace(day=9)))
    site.put(FILE.replace("20260105T", "data/big_input_"), b"no gzip, and never asked for: canary-body-1")
    site.put(f"logs/{BASE}/amazon-bedrock-logs-permission-check", b"x")
    connector = connect(site)
    refs = list(connector.discover(WINDOW))
    assert [(ref.scope, ref.window.start.day) for ref in refs] == [
        (f"{BASE}/2026/01/05", 5),
        (f"{BASE}/2026/01/06", 6),
    ]
    ledger = Ledger(tmp_path / "landed")
    ledger.run(connector, WINDOW)
    calls = [row for _, _, row in ledger.rows]
    assert sorted(call["response_id"][-1] for call in calls) == ["1", "2", "3", "4"]
    first = min(calls, key=lambda call: call["response_id"])
    assert (first["provider"], first["feature"], first["task_id"], first["status"]) == (
        "bedrock",
        "support_chat",
        "t-0",
        "ok",
    )
    assert (first["input_tokens"], first["cache_read_tokens"], first["output_tokens"]) == (36, 7, 446)
    assert len(first["user_hash"]) == 32
    assert [call["status"] for call in sorted(calls, key=lambda call: call["response_id"])][1] == "error"
    for path in (tmp_path / "landed").rglob("*.*"):
        assert b"canary" not in path.read_bytes()


def test_a_file_that_comes_later_changes_its_day_only(site: FolderSite | BucketSite) -> None:
    put(site, FILE, invocation(1, MOMENT))
    put(site, FILE.replace("01/05/09", "01/06/00"), invocation(4, MOMENT.replace(day=6)))
    before = {ref.scope: ref.identity for ref in connect(site).discover(WINDOW)}
    put(site, FILE.replace("_1.", "_2."), invocation(2, MOMENT))
    after = {ref.scope: ref.identity for ref in connect(site).discover(WINDOW)}
    assert [scope for scope in after if after[scope] != before[scope]] == [f"{BASE}/2026/01/05"]


@pytest.mark.parametrize(
    ("model_id", "model"),
    [
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", "abc123"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ],
)
def test_models(tmp_path: Path, model_id: str, model: str) -> None:
    site = FolderSite(tmp_path / "site")
    put(site, FILE, invocation(1, MOMENT, modelId=model_id, requestMetadata={"area": "search"}))
    ledger = Ledger(tmp_path / "landed")
    ledger.run(connect(site, fields={"feature": "area"}), WINDOW)
    assert [(row["model"], row["feature"], row["task_id"]) for _, _, row in ledger.rows] == [(model, "search", None)]


@pytest.mark.parametrize(
    ("changes", "tier"),
    [
        ({"serviceTier": {"type": "flex"}}, "flex"),
        ({"serviceTier": "default"}, "standard"),
        ({"requestMetadata": {"pricing_tier": "batch"}}, "batch"),
    ],
)
def test_the_tier_that_a_request_was_served_in(changes: dict[str, Any], tier: str) -> None:
    [call] = read_invocation(invocation(1, MOMENT, **changes), Projection(None), {})
    assert read_tier(call["pricing_tier"]) == tier


def test_a_request_whose_tags_name_several_features_is_of_none() -> None:
    projection = Projection(None)
    told = [json.dumps([f"feature:{name}" for name in names]) for names in (["search"] * 100, ["a", "b"])]
    calls = [next(read_invocation(invocation(1, MOMENT, requestMetadata={"tags": t}), projection, {})) for t in told]
    assert [call["feature"] for call in calls] == ["search", None]
    assert json.loads(projection.report())["kept_with_gaps"] == {"several_features": 1}
