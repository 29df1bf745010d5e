"""What every connector keeps, run over every entry of the registry.

A connector joins by a world in WORLDS: a small source built from its provider's documented schema.
"""

from __future__ import annotations

import gzip
import logging
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from connectors.base import Connector, FileScan, Rows, Window
from connectors.errors import ConfigError, ConnectorError, CredentialError, PagingError, PayloadError, TransientError
from connectors.registry import CONNECTORS, connector_class
from connectors.schema import (
    CALLS,
    CHARGES,
    FOCUS_OPTIONAL,
    FOCUS_REQUIRED,
    GPU_UTILIZATION,
    METERED_USAGE,
    OUTCOMES,
    TELEMETRY_ISSUES,
)
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.conformance.world import FAST, HASTY, World
from tests.connectors.conformance.worlds import WORLDS
from tests.servers.json_api import Fault, serve
from tests.servers.s3 import use_test_credentials

SCHEMAS = {
    "charges": CHARGES,
    "gpu_utilization": GPU_UTILIZATION,
    "metered_usage": METERED_USAGE,
    "telemetry_issues": TELEMETRY_ISSUES,
}
MEASURES = {
    "charges": {"consumed_quantity", "billed_cost", "effective_cost", "list_cost"},
    "metered_usage": {name for name in METERED_USAGE.names if name.endswith("_tokens") or name == "requests"},
    "gpu_utilization": {"samples", "utilization"},
    "telemetry_issues": {"occurrences"},
}
SCANS = {"calls": set(CALLS.names), "outcomes": set(OUTCOMES.names), "focus": {*FOCUS_REQUIRED, *FOCUS_OPTIONAL}}
HTTP_TYPES = ["anthropic", "aws_cost_explorer", "litellm", "openai", "openrouter", "prometheus"]
PAGED_TYPES = ["anthropic", "aws_cost_explorer", "openai"]
BUCKET_TYPES = ["anthropic", "openai"]  # daily buckets, of which one may come on two pages
HAS_MORE_TYPES = ["anthropic", "openai"]  # a flag says that there is more, and a cursor where
BEARER_TYPES = [
    "anthropic",
    "litellm",
    "openai",
    "openrouter",
    "prometheus",
]  # the key itself travels with every request


def build(source_type: str, folder: Path, seed: int, stack: ExitStack) -> World:
    world = WORLDS[source_type](seed, folder)
    if world.api is not None:
        stack.enter_context(serve(world.api))
    return world


@pytest.fixture(autouse=True)
def _aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use_test_credentials(monkeypatch)


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as stack:

        def make(source_type: str, seed: int = 1) -> World:
            return build(source_type, tmp_path / f"world-{seed}", seed, stack)

        yield make


@pytest.fixture(params=sorted(CONNECTORS))
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    return make_world(request.param)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def test_every_connector_has_a_world() -> None:
    assert set(WORLDS) == set(CONNECTORS)


@pytest.mark.parametrize("source_type", sorted(CONNECTORS))
def test_declares_itself_and_documents_itself(source_type: str) -> None:
    cls = connector_class(source_type)
    assert cls.type == source_type
    assert cls.kind in ("billing", "telemetry")
    assert cls.restates_days >= 0
    assert cls.settle_days >= 0
    readme = Path(__file__).parents[3] / "connectors" / source_type / "README.md"
    headings = set(re.findall(r"^## (\w+)", readme.read_text(), re.M))
    assert {"Endpoint", "Grain", "Units", "Lag", "Quirks"} <= headings


def test_rows_have_the_exact_schema_and_a_unique_grain(world: World, ledger: Ledger) -> None:
    connector = world.connect()
    assert isinstance(connector, Connector)
    for parsed in ledger.run(connector, world.window):
        for part in parsed.parts:
            if isinstance(part, FileScan):
                assert set(part.columns) <= SCANS[part.layout]
                assert all(path.is_file() for path in part.files)
                continue
            assert part.table.schema.equals(SCHEMAS[part.layout])
            dimensions = [name for name in part.table.column_names if name not in MEASURES[part.layout]]
            grain = Counter(tuple(row.values()) for row in part.table.select(dimensions).to_pylist())
            assert max(grain.values(), default=1) == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("source_type", sorted(CONNECTORS))
def test_totals_are_the_providers_whatever_its_manners(
    source_type: str, seed: int, make_world: Callable[..., World], ledger: Ledger
) -> None:
    world = make_world(source_type, seed)
    ledger.run(world.connect(), world.window)
    assert ledger.totals() == {day: total for day, total in world.truth.items() if total}


def test_loading_twice_is_loading_once(world: World, ledger: Ledger) -> None:
    ledger.run(world.connect(), world.window)
    once = ledger.contents()
    ledger.run(world.connect(), world.window)
    assert once
    assert ledger.contents() == once


def test_a_window_split_in_two_gives_the_same_rows_as_whole(world: World, tmp_path: Path) -> None:
    whole, split = Ledger(tmp_path / "whole"), Ledger(tmp_path / "split")
    whole.run(world.connect(), world.window)
    middle = world.window.start + timedelta(days=3)
    split.run(world.connect(), Window(world.window.start, middle))
    split.run(world.connect(), Window(middle, world.window.end))
    assert split.contents() == whole.contents()


def test_an_empty_window_is_an_empty_table(world: World, ledger: Ledger) -> None:
    if world.reads_all_days:
        world.empty()
    for parsed in ledger.run(world.connect(), world.empty_window):
        tables = [part.table for part in parsed.parts if isinstance(part, Rows)]
        assert all(table.num_rows == 0 for table in tables)
    assert ledger.rows == []


def test_a_window_restated_to_empty_empties_it(world: World, ledger: Ledger) -> None:
    ledger.run(world.connect(), world.window)
    assert ledger.totals()
    world.empty()
    ledger.run(world.connect(), world.window)
    assert ledger.rows == []


def test_unknown_fields_are_reported_and_change_nothing(world: World, tmp_path: Path) -> None:
    before, after = Ledger(tmp_path / "before"), Ledger(tmp_path / "after")
    before.run(world.connect(), world.window)
    assert not any("surprise_x1" in note for note in before.notes)
    world.add_unknown_field("surprise_x1")
    after.run(world.connect(), world.window)
    assert any("surprise_x1" in note for note in after.notes)
    assert after.totals() == before.totals()


def test_parse_reads_what_landing_has_compressed(world: World, ledger: Ledger) -> None:
    connector = world.connect()
    for ref in connector.discover(world.window):
        files = ledger.land(connector, ref)
        packed = dict(files)
        for name, path in files.items():
            if name.endswith((".json", ".jsonl", ".csv")):
                packed[name] = path.with_name(path.name + ".gz")
                packed[name].write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        plain, unpacked = connector.parse(files), connector.parse(packed)
        assert plain.notes == unpacked.notes
        for left, right in zip(plain.parts, unpacked.parts, strict=True):
            if isinstance(left, Rows) and isinstance(right, Rows):
                assert left.table.equals(right.table)


def test_identity_changes_when_and_only_when_the_source_does(world: World) -> None:
    def identities() -> set[tuple[str, str | None]]:
        return {(ref.scope, ref.identity) for ref in world.connect().discover(world.window)}

    before = identities()
    assert identities() == before
    if any(identity is not None for _, identity in before):
        world.add_unknown_field("surprise_x1")
        assert identities() != before


def test_check_says_yes_to_a_good_source_and_names_a_cure_for_a_bad_one(world: World) -> None:
    good = world.connect().check()
    assert good
    assert all(result.ok for result in good), good
    world.deny()
    bad = [result for result in world.connect().check() if not result.ok]
    assert bad
    assert all(result.cure for result in bad)
    assert not any(result.cure in result.detail for result in bad), "the cure is told once"


def test_a_denied_source_is_a_configuration_error_with_a_cure(world: World, ledger: Ledger) -> None:
    world.deny()
    with pytest.raises(ConfigError) as caught:
        ledger.run(world.connect(), world.window)
    assert caught.value.cure


def test_no_secret_in_representations_or_option_errors(world: World) -> None:
    cls = connector_class(world.source_type)
    connector = world.connect()
    texts = [repr(connector), str(connector.__dict__), repr(cls.Options.model_validate(world.options))]
    for key, value in world.options.items():
        if value in world.secrets:
            for wrong in ({key: [value]}, {key: value + "\n x"}, {key + "x": value}, {key: {"value": value}}):
                with pytest.raises(ValidationError) as caught:
                    cls.Options.model_validate({**world.options, **wrong})
                texts += [str(caught.value), repr(caught.value)]
    for secret in world.secrets:
        assert not any(secret in text for text in texts)


@pytest.mark.parametrize("source_type", HTTP_TYPES)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=429, headers=(("Retry-After", "0"),)), TransientError),
        (Fault(status=500), TransientError),
        (Fault(status=503, body="<html>upstream</html>"), TransientError),
        (Fault(status=529), TransientError),
        (Fault("reset"), TransientError),
        (Fault("cut"), TransientError),
        (Fault("silence", seconds=0.8), TransientError),
        (Fault("garbage", body="<html>maintenance</html>"), PayloadError),
        (Fault("garbage", body='{"data": [{"start_time": NaN}]}'), PayloadError),
        (Fault("garbage", body="[]"), PayloadError),
        (Fault(status=302, headers=(("Location", "http://127.0.0.1:1/"),)), ConfigError),
        (Fault(status=403), ConfigError),
        (Fault(status=404), ConfigError),
        (Fault(status=401), CredentialError),
    ],
    ids=lambda value: f"{value.kind}{value.status}{value.body[:5]}" if isinstance(value, Fault) else "",
)
class TestFaults:
    def test_one_that_stays_is_bounded_and_clear(
        self,
        source_type: str,
        fault: Fault,
        error: type[ConnectorError],
        make_world: Callable[..., World],
        ledger: Ledger,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        world = make_world(source_type)
        assert world.api is not None
        world.api.fault_for_ever = fault
        world.retry = HASTY if fault.kind == "silence" else FAST
        with caplog.at_level(logging.DEBUG), pytest.raises(error) as caught:
            ledger.run(world.connect(name="my_source"), world.window)
        assert "my_source" in str(caught.value)
        assert caught.value.cure
        assert len(world.api.requests) <= FAST.attempts
        texts = [str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value)), caplog.text]
        for secret in world.secrets:
            assert not any(secret in text for text in texts)

    def test_one_that_passes_leaves_no_trace(
        self,
        source_type: str,
        fault: Fault,
        error: type[ConnectorError],
        make_world: Callable[..., World],
        ledger: Ledger,
    ) -> None:
        world = make_world(source_type)
        assert world.api is not None
        world.api.faults = [fault]
        world.retry = HASTY if fault.kind == "silence" else FAST
        if issubclass(error, ConfigError):  # no second try can change the provider's mind
            with pytest.raises(error):
                ledger.run(world.connect(), world.window)
            assert len(world.api.requests) == 1
        else:
            ledger.run(world.connect(), world.window)
            assert ledger.totals() == world.truth


@pytest.mark.parametrize("source_type", BEARER_TYPES)
def test_a_key_that_the_provider_repeats_in_its_refusal_is_struck_out(
    source_type: str, make_world: Callable[..., World], ledger: Ledger
) -> None:
    world = make_world(source_type)
    assert world.api is not None
    world.api.fault_for_ever = Fault(status=401, body=f'{{"error": {{"message": "bad key {world.secrets[0]}"}}}}')
    with pytest.raises(CredentialError) as caught:
        ledger.run(world.connect(), world.window)
    assert "bad key ***" in str(caught.value)


@pytest.mark.parametrize("source_type", PAGED_TYPES)
class TestPaging:
    def test_a_repeated_cursor_stops_with_an_error(
        self, source_type: str, make_world: Callable[..., World], ledger: Ledger
    ) -> None:
        world = make_world(source_type)
        world.api.repeat_cursor = True  # type: ignore[union-attr]
        with pytest.raises(PagingError, match="same cursor twice"):
            ledger.run(world.connect(), world.window)
        assert ledger.rows == []

    def test_a_page_cap_is_an_error_and_never_a_truncation(
        self, source_type: str, make_world: Callable[..., World], ledger: Ledger
    ) -> None:
        world = make_world(source_type)
        assert world.api is not None
        world.api.endless_pages = True  # type: ignore[attr-defined]
        with pytest.raises(PagingError, match="promises more"):
            ledger.run(world.connect(), world.window)
        assert ledger.rows == []
        assert len(world.api.requests) < 100


@pytest.mark.parametrize("source_type", BUCKET_TYPES)
def test_a_day_that_comes_on_two_pages_counts_once(
    source_type: str, make_world: Callable[..., World], ledger: Ledger
) -> None:
    world = make_world(source_type)
    world.api.overlapping_pages = True  # type: ignore[union-attr]
    ledger.run(world.connect(), world.window)
    assert any("on two pages: counted once" in note for note in ledger.notes)
    assert ledger.totals() == world.truth


@pytest.mark.parametrize("source_type", HAS_MORE_TYPES)
def test_more_without_a_cursor_is_an_error(source_type: str, make_world: Callable[..., World], ledger: Ledger) -> None:
    world = make_world(source_type)
    assert world.api is not None
    world.api.fault_for_ever = Fault("garbage", body='{"data": [], "has_more": true, "next_page": null}')
    with pytest.raises(PayloadError, match="next_page"):
        ledger.run(world.connect(), world.window)


def test_the_types_under_http_tests_are_those_with_a_stub(make_world: Callable[..., World]) -> None:
    worlds = {source_type: make_world(source_type) for source_type in CONNECTORS}
    assert {name for name, world in worlds.items() if world.api is not None} == set(HTTP_TYPES)
    assert {name for name, world in worlds.items() if world.is_paged} == set(PAGED_TYPES)


def test_truth_is_worth_testing(world: World) -> None:
    assert len(world.truth) >= 3
    assert all(total != Decimal(0) for total in world.truth.values())
    assert all(world.window.start <= day < world.window.end for day in world.truth)
