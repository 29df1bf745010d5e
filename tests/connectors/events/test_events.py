"""The projection of telemetry: what is kept, what is rejected, and what never reaches disk."""

from __future__ import annotations

import gzip
import hmac
import io
import json
import os
import tracemalloc
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import FileScan, Parsed, Window
from connectors.calls import json_lines
from connectors.calls.json_lines import project_lines
from connectors.calls.projection import Projection
from connectors.errors import ConfigError, IncompleteDelivery, PayloadError
from connectors.events import Events, EventsOptions
from connectors.schema import CALLS
from tests.connectors.conformance.ledger import Ledger, scan

WINDOW = Window(date(2026, 1, 1), date(2026, 2, 1))
CALL = {
    "time": "2026-01-05T09:30:00Z",
    "provider": "openai",
    "model": "gpt-5-nano",
    "feature": "support_chat",
    "task_id": "t-1",
    "input_tokens": 812,
    "output_tokens": 95,
}


def connect(location: Path, **options: Any) -> Events:
    return Events(name="calls", options=EventsOptions.model_validate({"location": str(location), **options}))


def line(**changes: Any) -> str:
    return json.dumps({**CALL, **changes}) + "\n"


class Drop:
    """A folder with one file of calls, and what became of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "events"
        self.folder.mkdir()
        self.landed = folder / "landed"

    def read(self, content: str | bytes, name: str = "a.jsonl", **options: Any) -> tuple[list[dict[str, Any]], Parsed]:
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        connector = connect(self.folder, **options)
        ledger = Ledger(self.landed)
        [parsed] = ledger.run(connector, WINDOW)
        return [row for _, _, row in ledger.rows], parsed

    def report(self) -> dict[str, Any]:
        [path] = self.landed.rglob("rejects.json")
        return json.loads(path.read_text())


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    return Drop(tmp_path)


def test_a_call_becomes_a_row_of_the_allow_list(drop: Drop) -> None:
    content = line(
        attempt=2,
        outcome="resolved",
        status="ok",
        task_type="answer",
        response_id="resp_1",
        user_id="u1",
        plan="pro",
        release="v7",
        prompt_version="p3",
        api_key_id="key_1",
        cache_read_tokens=600,
        cache_write_tokens=3,
        reasoning_tokens=4,
        tool_calls=5,
        latency_ms=812.4,
        gpu_seconds=0.25,
        pricing_tier="flex",
        trace_id="tr-1",
    )
    [row], parsed = drop.read(content, user_hash_key="pepper")
    assert row == {
        "called_at": datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
        "provider": "openai",
        "model": "gpt-5-nano",
        "feature": "support_chat",
        "task_id": "t-1",
        "task_type": "answer",
        "attempt": 2,
        "outcome": "resolved",
        "status": "ok",
        "response_id": "resp_1",
        "user_hash": hmac.new(b"pepper", b"u1", "sha256").hexdigest()[:32],
        "plan": "pro",
        "release": "v7",
        "prompt_version": "p3",
        "api_key_id": "key_1",
        "input_tokens": 812,
        "cache_read_tokens": 600,
        "cache_write_tokens": 3,
        "output_tokens": 95,
        "reasoning_tokens": 4,
        "tool_calls": 5,
        "latency_ms": 812,
        "gpu_seconds": 0.25,
        "logged_cost_usd": None,
        "pricing_tier": "flex",
        "trace_id": "tr-1",
    }
    assert parsed.notes == ()


def test_the_parquet_has_the_schema_exactly(drop: Drop) -> None:
    _, parsed = drop.read(line())
    part = parsed.parts[0]
    assert isinstance(part, FileScan)
    assert pa.parquet.read_schema(part.files[0]).equals(CALLS)
    assert dict(part.columns) == {name: name for name in CALLS.names}


def test_prompts_and_user_ids_never_reach_disk(drop: Drop) -> None:
    secret = "a question about my divorce"
    content = line(prompt=secret, messages=[{"content": secret}], user_id="maya@example.com", **{secret: 1})
    content += line(task_id=secret * 20) + line(model=[secret]) + line(time=secret) + line(user_id={"mail": secret})
    content += secret + "\n" + "{" + secret
    rows, parsed = drop.read(content, user_hash_key="pepper")
    assert len(rows) == 2
    assert not any(secret in note for note in parsed.notes)
    for path in drop.landed.rglob("*.*"):
        assert secret.encode() not in path.read_bytes()
        assert b"maya" not in path.read_bytes()
    assert b"pepper" not in b"".join(path.read_bytes() for path in drop.landed.rglob("*.*"))
    for _, _, row in [("", "", row) for row in rows]:
        assert secret not in str(row)
    assert drop.report()["dropped_fields"] == {"(other names)": 1, "messages": 1, "prompt": 1}


def test_without_a_key_user_ids_are_dropped_and_a_note_says_so(drop: Drop) -> None:
    rows, parsed = drop.read(line(user_id="u1") + line(user_id="u2") + line())
    assert [row["user_hash"] for row in rows] == [None] * 3
    assert parsed.notes == ("2 user ids dropped: set user_hash_key to keep them as keyed hashes",)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("not json\n", "not JSON"),
        ("[1]\n", "not a JSON object"),
        ("null\n", "not a JSON object"),
        (b"\xff\xfe{}\n", "not UTF-8"),
        ("[" * 100_000 + "\n", "not JSON"),
        (line(time=None), "time: missing"),
        (line(time="yesterday"), "time: not RFC 3339"),
        (line(time=1767605400), "time: not RFC 3339"),
        (line(time="2026-01-05T09:30:00"), "time: without offset from UTC"),
        (line(time="1970-01-01T00:00:00Z"), "time: before 2015 or after 2099"),
        (line(time="0001-01-01T00:00:00+14:00"), "time: before 2015 or after 2099"),
        (line(provider=None), "provider: missing"),
        (line(model=""), "model: missing"),
        (line(model=True), "model: not a text"),
        (line(feature=["a"]), "feature: not a text"),
        (line(task_id="x" * 257), "task_id: longer than 256 characters, or not valid Unicode"),
        (line(plan="\ud800"), "plan: longer than 256 characters, or not valid Unicode"),
        (line(input_tokens=-1), "input_tokens: negative"),
        (line(output_tokens=10**8 + 1), "output_tokens: larger than 100000000"),
        (line(output_tokens=10**400), "output_tokens: larger than 100000000"),
        (line(output_tokens=1.5), "output_tokens: not a whole number"),
        (line(output_tokens="12"), "output_tokens: not a whole number"),
        (line(output_tokens=True), "output_tokens: not a whole number"),
        (line(output_tokens=float("nan")), "output_tokens: not a whole number"),
        (line(output_tokens=[1]), "output_tokens: not a whole number"),
        (line(attempt=-1), "attempt: negative"),
        (line(gpu_seconds=-0.1), "gpu_seconds: negative, not finite or absurdly large"),
        (line(gpu_seconds=float("inf")), "gpu_seconds: negative, not finite or absurdly large"),
        (line(gpu_seconds="1"), "gpu_seconds: not a number"),
    ],
    ids=lambda value: str(value)[:30] if not isinstance(value, bytes) else "bytes",
)
def test_a_bad_line_is_counted_with_its_number_and_stops_nothing(drop: Drop, bad: str | bytes, reason: str) -> None:
    content = line().encode() + (bad.encode() if isinstance(bad, str) else bad) + b"\n" + line().encode()
    rows, parsed = drop.read(content)
    assert len(rows) == 2
    assert drop.report()["rejected"] == {reason: {"count": 1, "lines": [2]}}
    assert f"rejected 1 of 4 lines: {reason} (line 2)" in parsed.notes


@pytest.mark.parametrize("trace", ["x" * 257, "\ud800", ["a"]])
def test_a_trace_that_is_no_identifier_does_not_lose_its_call(drop: Drop, trace: Any) -> None:
    rows, _ = drop.read(line(trace_id=trace) + line(task_id="t-2", trace_id="r-1"))
    assert sorted((row["task_id"], row["trace_id"]) for row in rows) == [("t-1", None), ("t-2", "r-1")]
    assert drop.report()["rejected"] == {}


@pytest.mark.parametrize(
    ("changes", "column", "value", "note"),
    [
        ({"feature": None}, "feature", None, "no feature"),
        ({"task_id": ""}, "task_id", None, "no task_id"),
        ({"input_tokens": None}, "input_tokens", None, None),
        ({"input_tokens": 0}, "input_tokens", 0, None),
        ({"input_tokens": 12.0}, "input_tokens", 12, None),
        ({"task_id": 81}, "task_id", "81", None),
        ({"status": "FAILED"}, "status", "error", None),
        ({"status": "weird"}, "status", None, "status is neither ok nor error"),
        ({"outcome": None}, "outcome", None, None),
        ({"model": "größer"}, "model", "größer", None),
        (
            {"time": "2026-01-05T10:30:00.123456789+01:00"},
            "called_at",
            datetime(2026, 1, 5, 9, 30, 0, 123456, UTC),
            None,
        ),
    ],
)
def test_what_is_kept_with_a_gap(
    drop: Drop, changes: dict[str, Any], column: str, value: Any, note: str | None
) -> None:
    [row], parsed = drop.read(line(**changes))
    assert row[column] == value
    assert parsed.notes == ((f"1 of 1 calls: {note}",) if note else ())


def test_bom_blank_lines_and_windows_line_ends(drop: Drop) -> None:
    rows, parsed = drop.read(b"\xef\xbb\xbf" + line().replace("\n", "\r\n").encode() + b"\n  \r\n" + line().encode())
    assert len(rows) == 2
    assert parsed.notes == ()


def test_a_half_written_last_line_waits_for_the_next_run(drop: Drop) -> None:
    whole, half = line(task_id="t-1"), line(task_id="t-2")
    rows, parsed = drop.read(whole + half[:40])
    assert [row["task_id"] for row in rows] == ["t-1"]
    assert parsed.notes == ("the last line is not finished yet: left for the next run",)
    assert drop.report()["rejected"] == {}

    (drop.folder / "a.jsonl").write_text(whole + half.rstrip("\n"))  # finished, if without a line end
    ledger = Ledger(drop.landed / "again")
    ledger.run(connect(drop.folder), WINDOW)
    assert [row["task_id"] for _, _, row in ledger.rows] == ["t-1", "t-2"]
    assert ledger.notes == []


def test_an_open_gzip_stream_gives_what_is_whole(drop: Drop) -> None:
    packed = gzip.compress("".join(line(task_id=os.urandom(8).hex()) for _ in range(2000)).encode())
    rows, parsed = drop.read(packed[: len(packed) // 2], name="a.jsonl.gz")
    assert 0 < len(rows) < 2000
    assert "the last line is not finished yet: left for the next run" in parsed.notes


def test_what_is_no_gzip_though_it_says_so_is_an_error(drop: Drop) -> None:
    with pytest.raises(PayloadError, match=r"calls: a.jsonl.gz: is not a readable gzip file"):
        drop.read(line(), name="a.jsonl.gz")


def test_a_file_that_grows_while_it_is_read_gives_what_its_identity_speaks_of(drop: Drop) -> None:
    path = drop.folder / "a.jsonl"
    path.write_text(line())
    connector = connect(drop.folder)
    [before] = connector.discover(WINDOW)
    with path.open("a") as file:
        file.write(line())
    ledger = Ledger(drop.landed)
    ledger.load(connector, before)
    assert len(ledger.rows) == 1
    [after] = connector.discover(WINDOW)
    assert (after.scope, after.identity != before.identity) == (before.scope, True)
    ledger.load(connector, after)
    assert len(ledger.rows) == 2


def test_a_file_that_shrinks_or_goes_away_is_left_for_the_next_run(drop: Drop) -> None:
    path = drop.folder / "a.jsonl"
    path.write_text(line())
    connector = connect(drop.folder)
    [ref] = connector.discover(WINDOW)
    path.write_text("")
    with pytest.raises(IncompleteDelivery, match="shrank"):
        Ledger(drop.landed).load(connector, ref)
    path.unlink()
    with pytest.raises(IncompleteDelivery, match="went away"):
        Ledger(drop.landed).load(connector, ref)


def test_finds_files_by_their_ending_and_leaves_hidden_ones(drop: Drop) -> None:
    for name in ("a.jsonl", "b/c.ndjson.gz", "b/.tmp.jsonl", "_old/a.jsonl", ".git/a.jsonl", "notes.txt", "b/d.ndjson"):
        path = drop.folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [ref.scope for ref in connect(drop.folder).discover(WINDOW)] == ["a.jsonl", "b/c.ndjson.gz", "b/d.ndjson"]
    assert [ref.scope for ref in connect(drop.folder / "notes.txt").discover(WINDOW)] == ["notes.txt"]


@pytest.mark.parametrize("location", ["/nowhere/events", "s3://bucket/events"])
def test_a_location_that_cannot_be_read_has_a_cure(location: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Events(name="calls", options=EventsOptions(location=location)).discover(WINDOW)
    assert caught.value.cure


def test_another_hash_key_reads_every_file_again(drop: Drop) -> None:
    (drop.folder / "a.jsonl").write_text(line())
    identities = {
        next(iter(connect(drop.folder, **options).discover(WINDOW))).identity
        for options in ({}, {"user_hash_key": "one"}, {"user_hash_key": "two"})
    }
    assert len(identities) == 3


def test_check_shows_what_is_wrong_with_the_newest_file(drop: Drop) -> None:
    assert [result.ok for result in connect(drop.folder).check()] == [False]
    (drop.folder / "a.jsonl").write_text(line() + line(time=None))
    results = {result.name: result for result in connect(drop.folder).check()}
    assert results["location"].ok
    assert results["newest file"].ok  # a run leaves the line out, and counts it
    assert "1 call among the first 2 lines (time: missing: 1× (line 2))" in results["newest file"].detail
    (drop.folder / "a.jsonl").write_text(line(time=None) + "not json\n")
    results = {result.name: result for result in connect(drop.folder).check()}
    assert not results["newest file"].ok
    assert "0 calls among the first 2 lines" in results["newest file"].detail
    assert results["newest file"].cure


def test_a_line_without_end_is_not_read_into_memory(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "LONGEST_LINE_BYTES", 1000)
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 500)
    rows, _ = drop.read(line() + '{"prompt": "' + "x" * 100_000 + '"}\n' + line())
    assert len(rows) == 2
    assert drop.report()["rejected"] == {"longer than 16 MiB": {"count": 1, "lines": [2]}}


def test_memory_does_not_grow_with_the_file(drop: Drop) -> None:
    path = drop.folder / "a.jsonl"

    def peak(calls: int) -> int:
        path.write_text("".join(line(task_id=f"t{n}", prompt="x" * 20_000) for n in range(calls)))
        connector = connect(drop.folder)
        [ref] = connector.discover(WINDOW)
        tracemalloc.start()
        for payload in connector.fetch(ref):
            assert sum(map(len, payload.chunks)) > 0
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak(4_000) < 1.2 * peak(1_000) < 40 * 2**20


START, END = datetime(2014, 12, 1), datetime(2030, 1, 1)  # noqa: DTZ001  # hypothesis adds the zone
CLEAN = st.fixed_dictionaries(
    {
        "time": st.datetimes(timezones=st.just(UTC), min_value=START, max_value=END).map(datetime.isoformat),
        "provider": st.sampled_from(["openai", "anthropic", "", None, 3, [1]]),
        "model": st.sampled_from(["m1", "m2"]),
        "feature": st.sampled_from(["f", None, "", {}]),
        "status": st.sampled_from([None, "ok", "odd", 1]),
        "user_id": st.sampled_from([None, "u", 7, [], ""]),
        "input_tokens": st.sampled_from([None, 0, 5, -1, 2.0, 2.5, "5", 10**9]),
        "attempt": st.sampled_from([None, 1, 0]),
        "extra": st.none(),
    }
)


@given(records=st.lists(CLEAN, max_size=6))
def test_the_fast_way_and_the_careful_way_agree(records: list[dict[str, Any]]) -> None:
    """A batch is checked column by column if it is clean, else row by row; one bad line changes no other."""
    lines = [(json.dumps(record) + "\n").encode() for record in records]
    together = Projection(b"key")
    rows = project(together, b"".join(lines))
    alone: list[dict[str, Any]] = []
    rejected = 0
    for single in lines:
        projection = Projection(b"key")
        # Two lines with a blank one between them are never read as a table.
        alone += project(projection, b"\n" + single)
        rejected += projection.rejected_lines
    assert rows == alone
    assert together.rejected_lines == rejected
    assert json.loads(together.report())["calls"] == len(rows)


def project(projection: Projection, content: bytes) -> list[dict[str, Any]]:
    return [row for batch in project_lines(io.BytesIO(content), projection) for row in batch.to_pylist()]


def test_equal_files_make_equal_bytes(drop: Drop) -> None:
    (drop.folder / "a.jsonl").write_text(line() * 10)
    connector = connect(drop.folder)
    [ref] = connector.discover(WINDOW)
    first, second = ([b"".join(payload.chunks) for payload in connector.fetch(ref)] for _ in range(2))
    assert first == second


def test_an_empty_file_is_an_empty_table(drop: Drop) -> None:
    rows, parsed = drop.read("")
    assert rows == []
    part = parsed.parts[0]
    assert isinstance(part, FileScan)
    assert scan(part).num_rows == 0


@pytest.mark.parametrize(("options", "attempts"), [({}, [1, 1, 2, None]), ({"first_attempt": 0}, [1, 2, 3, None])])
def test_a_source_may_count_attempts_from_zero(drop: Drop, options: dict[str, Any], attempts: list[int | None]) -> None:
    rows, parsed = drop.read(line(attempt=0) + line(attempt=1) + line(attempt=2) + line(), **options)
    assert [row["attempt"] for row in rows] == attempts
    assert any("set first_attempt: 0" in note for note in parsed.notes) is (options == {})
