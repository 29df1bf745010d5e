"""Whatever goes wrong at one provider, the other sources' bills come in, and the failure says what to do."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.http_api import RetryPolicy
from tests.connectors.billing_files import AwsExport
from tests.flows.ingesting import Company
from tests.flows.steps.test_ingest import month
from tests.servers import json_api, s3
from tests.servers.anthropic import AnthropicStub
from tests.servers.openai import OpenAIStub
from tests.servers.s3 import FaultyS3, FolderSite
from tests.warehouse.bills import focus_row

BUSY = json_api.Fault(status=429, headers=(("Retry-After", "0"),))
API_FAULTS: list[tuple[json_api.Fault, str]] = [
    (BUSY, "429"),
    (json_api.Fault(status=429, headers=(("Retry-After", "3600"),)), "429"),
    (json_api.Fault(status=503), "503"),
    (json_api.Fault("reset"), "connection"),
    (json_api.Fault("silence", seconds=1), "answer|connection|time"),
    (json_api.Fault("garbage", body='{"data": ['), "JSON"),
    (json_api.Fault(status=401), "401"),
    (json_api.Fault(status=403), "403"),
]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of the flow insist as always, only quicker."""
    monkeypatch.setattr(RetryPolicy.__init__, "__defaults__", (3, 0.001, 0.01, 5.0, 0.5))
    s3.use_test_credentials(monkeypatch)


class Site(FolderSite):
    """The bucket of a server that fails on demand."""

    def __init__(self, server: FaultyS3) -> None:
        self.server = server

    def put(self, key: str, data: bytes) -> None:
        self.server.objects[key] = data


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made = Company(tmp_path)
    made.drop("good.csv", [focus_row(1, "7.25")])
    return made


def run(company: Company, faulty: dict[str, Any], words: str) -> None:
    """Of the faulty source and the good one that comes after it, only the first fails."""
    good = {"name": "drop", "type": "focus_files", "location": "./inbox"}
    company.sources = [{"name": "faulty", **faulty}, good]
    done = company.run()
    assert set(done.failures) == {"faulty"}
    assert re.search(words, done.failures["faulty"]), done.failures
    assert company.billed("source_name = 'drop'") == Decimal("7.25")


@pytest.mark.parametrize(("fault", "words"), API_FAULTS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("source_type", ["openai", "anthropic"])
def test_an_api_that_fails(company: Company, source_type: str, fault: json_api.Fault, words: str) -> None:
    api: Any = {"openai": OpenAIStub, "anthropic": AnthropicStub}[source_type](
        rng=random.Random(1), admin_key="demo-key"
    )
    with json_api.serve(api):
        api.fault_for_ever = fault
        run(company, {"type": source_type, "admin_key": "demo-k", "base_url": f"{api.url}/v1"}, words)


def test_an_error_that_nobody_foresaw(company: Company) -> None:
    folder = company.root / "loop"
    folder.mkdir()
    (folder / "a.csv").symlink_to("a.csv")
    run(company, {"type": "focus_files", "location": "./loop"}, "loop/a.csv.*report it")


@pytest.fixture
def bucket() -> Iterator[FaultyS3]:
    with FaultyS3().running() as server:
        yield server


def deliver(bucket: FaultyS3, files: dict[str, bytes]) -> AwsExport:
    export = AwsExport(Site(bucket))
    export.deliver("2026-01", files)
    return export


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (s3.Fault("list", "SlowDown", 503), "SlowDown|503"),
        (s3.Fault("get", "InternalError", 500), "InternalError|500"),
        (s3.Fault("get", cut_after=0), "broke|cut|connection|whole"),
        (s3.Fault("list", "ExpiredToken", 400), "expired|ExpiredToken"),
        (s3.Fault("list", "AccessDenied", 403), "s3:ListBucket"),
        (s3.Fault("get", "AccessDenied", 403), "s3:GetObject"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bucket_that_fails(company: Company, bucket: FaultyS3, fault: s3.Fault, words: str) -> None:
    deliver(bucket, {"a.parquet": month("2026-01", "4")})
    bucket.always = [fault]
    run(company, {"type": "aws_data_exports", **bucket.options("exports/focus")}, words)


@pytest.mark.parametrize("kind", ["missing", "empty", "cut"])
def test_an_export_that_is_half_delivered(company: Company, bucket: FaultyS3, kind: str) -> None:
    deliver(bucket, {"a.parquet": month("2026-01", "4"), "b.parquet": month("2026-01", "8")})
    [key] = [key for key in bucket.objects if key.endswith("b.parquet")]
    if kind == "missing":
        del bucket.objects[key]
    else:
        bucket.objects[key] = b"" if kind == "empty" else bucket.objects[key][:200]
    run(company, {"type": "aws_data_exports", **bucket.options("exports/focus")}, "b.parquet")
    assert company.billed("source_name = 'faulty'") == 0  # not half of it
