"""The estimated lane without telemetry: what a provider meters by the hour finds its feature through the bill."""

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from flows.run import Run, open_run
from flows.settings import load_settings
from flows.steps.direct import execute, run_direct
from flows.steps.hourly import run_hours
from tests.servers import json_api
from tests.servers.openai import Cost, OpenAIStub, Usage

TODAY = date(2026, 6, 18)
FIRST = TODAY - timedelta(days=40)
NOON = 12
KEYS = {"key_chat": ("proj_a", 10), "key_search": ("proj_a", 5), None: ("proj_b", 8)}  # key → project, dollars an hour
CONFIG = """
home: ./data
sources:
  - {{name: openai, type: openai, admin_key: demo-x, base_url: "{url}/v1", usage: [completions]}}
features: features.yml
"""
# The key decides for two features; the project, whose key the provider does not tell, for the third.
FEATURES = """
version: 1
features: {chat: {}, search: {}, batch: {}}
rules:
  - {when: {api_key_id: key_chat}, feature: chat}
  - {when: {api_key_id: key_search}, feature: search}
  - {when: {sub_account_id: proj_b}, feature: batch}
"""


@pytest.fixture(scope="module")
def api() -> Iterator[OpenAIStub]:
    stub = OpenAIStub(rng=random.Random(1), admin_key="demo-x")
    stub.projects = {"proj_a": "Product", "proj_b": "Batch"}
    stub.api_keys = {"proj_a": {"key_chat": "chat", "key_search": "search"}}
    with json_api.serve(stub):
        yield stub


def fill(stub: OpenAIStub, *, until_hour: int, burst: dict[str | None, int]) -> None:
    """Bills through yesterday; metered hours of the last 13 days, through `until_hour` of today, in which keys of
    `burst` burn so many times as much from noon on."""
    stub.costs, stub.usage = [], []
    for key, (project, usd) in KEYS.items():
        for offset in range((TODAY - FIRST).days):
            day = FIRST + timedelta(days=offset)
            noise = 1 + Decimal(day.toordinal() * 37 % 11 - 5) / 200
            stub.costs.append(Cost(day, 24 * usd * noise, "gpt-5-nano, input_tokens", project, key))
        for offset in range(14):
            day = TODAY - timedelta(days=13 - offset)
            for hour in range(until_hour if day == TODAY else 24):
                times = burst.get(key, 1) if day == TODAY and hour >= NOON else 1
                tokens = usd * 100_000 * times * (100 + hour * 5 % 7) // 100
                stub.usage.append(Usage(day, "gpt-5-nano", project, key, tokens, num_model_requests=50, hour=hour))


def run(folder: Path, step: str, hour: int) -> Run:
    now = datetime(TODAY.year, TODAY.month, TODAY.day, hour, 5, tzinfo=UTC)
    with open_run(load_settings(folder / "trendbreak.yml"), as_of=TODAY, now=now) as opened:
        if step == "daily":
            run_direct(opened)
        else:
            run_hours(opened, execute)
    assert not opened.failures, opened.failures
    return opened


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory, api: OpenAIStub) -> Path:
    """The daily run was at nine, and told nothing."""
    folder = tmp_path_factory.mktemp("morning")
    (folder / "features.yml").write_text(FEATURES)
    (folder / "trendbreak.yml").write_text(CONFIG.format(url=api.url))
    fill(api, until_hour=8, burst={})
    assert run(folder, "daily", 9).messages == []
    return folder


@pytest.fixture
def home(morning: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(morning, tmp_path / "home", symlinks=True))


@pytest.mark.parametrize(("key", "feature"), [("key_chat", "chat"), (None, "batch")], ids=["key", "project"])
def test_a_burst_is_told_of_the_feature_that_the_bill_gives_the_key_to(
    home: Path, api: OpenAIStub, key: str | None, feature: str
) -> None:
    fill(api, until_hour=15, burst={key: 6})
    (message,) = run(home, "hours", 15).messages
    assert (message.node, message.action, message.onset) == (feature, "open", TODAY)
    assert "estimated from usage" in next(fact.text for fact in message.facts if fact.label == "Data")


def test_a_key_that_no_bill_has_told_of_moves_no_feature(home: Path, api: OpenAIStub) -> None:
    fill(api, until_hour=15, burst={})
    for hour in (12, 13, 14):
        api.usage.append(Usage(TODAY, "gpt-5-nano", "proj_a", "key_new", 9_000_000, num_model_requests=50, hour=hour))
    assert run(home, "hours", 15).messages == []
