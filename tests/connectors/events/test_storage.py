"""Events on S3 and as Parquet: the same rows as from a folder of JSON lines, and nothing else on disk."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.calls.json_lines import project_lines
from connectors.calls.projection import Projection
from connectors.errors import PayloadError
from connectors.events import Events, EventsOptions
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.events.test_events import CALL, WINDOW, connect, line
from tests.servers.s3 import BucketSite, Moto, moto_server, use_test_credentials


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_server() as server:
        yield server


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def read(folder: Path, location: Path, **options: Any) -> tuple[list[dict[str, Any]], list[str]]:
    ledger = Ledger(folder)
    ledger.run(connect(location, **options), WINDOW)
    return [row for _, _, row in ledger.rows], ledger.notes


def test_a_bucket_is_read_as_a_folder_is(moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_test_credentials(monkeypatch)
    site = BucketSite(moto)
    site.put("ai/events/a.jsonl", (line(task_id="a", prompt="canary-7")).encode())
    site.put("ai/events/x/b.jsonl.gz", gzip.compress(line(task_id="b").encode()))
    site.put("ai/events/c.parquet", parquet(pa.Table.from_pylist([{**CALL, "task_id": "c", "prompt": "canary-7"}])))
    site.put("ai/events-old/d.jsonl", line(task_id="d").encode())
    site.put("ai/events/_tmp/e.jsonl", line(task_id="e").encode())
    connector = Events(name="calls", options=EventsOptions.model_validate(site.options("ai/events")))
    assert all(result.ok for result in connector.check())
    ledger = Ledger(tmp_path)
    ledger.run(connector, WINDOW)
    assert sorted(row["task_id"] for _, _, row in ledger.rows) == ["a", "b", "c"]
    assert not any(b"canary-7" in path.read_bytes() for path in tmp_path.rglob("*.*"))
    before = {ref.scope: ref.identity for ref in connector.discover(WINDOW)}
    site.put("ai/events/a.jsonl", line(task_id="f").encode())
    after = {ref.scope: ref.identity for ref in connector.discover(WINDOW)}
    assert {scope for scope in after if after[scope] != before[scope]} == {"a.jsonl"}


@pytest.mark.parametrize("kind", ["us", "ns", "zoned", "text"])
def test_parquet_columns_of_several_types(tmp_path: Path, kind: str) -> None:
    moment = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    times: dict[str, pa.Array] = {
        "us": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
        "ns": pa.array([moment.replace(tzinfo=None)], pa.timestamp("ns")),
        "zoned": pa.array([moment], pa.timestamp("ms", "Europe/Berlin")),
        "text": pa.array(["2026-01-05T10:30:00+01:00"]),
    }
    table = pa.table(
        {
            "time": times[kind],
            "provider": pa.array(["openai"]).dictionary_encode(),
            "model": pa.array(["m"], pa.large_string()),
            "user_id": pa.array(["u1"]),
            "attempt": pa.array([2], pa.int8()),
            "input_tokens": pa.array([Decimal(7)], pa.decimal128(9, 0)),
            "output_tokens": pa.array([8.0]),
            "latency_ms": pa.array([8.6]),
            "logged_cost_usd": pa.array([0.1]),
            "messages": pa.array([[{"content": "canary-8"}]]),
        }
    )
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.parquet").write_bytes(parquet(table))
    [row], notes = read(tmp_path / "landed", tmp_path / "log", user_hash_key="k")
    assert row["called_at"] == moment
    assert (row["provider"], row["model"], row["attempt"], row["latency_ms"]) == ("openai", "m", 2, 9)
    assert (row["input_tokens"], row["output_tokens"], row["logged_cost_usd"]) == (7, 8, Decimal("0.1"))
    assert len(row["user_hash"]) == 32
    assert "fields dropped before anything was written: messages (1×)" in notes
    assert not any(b"canary-8" in path.read_bytes() for path in (tmp_path / "landed").rglob("*.*"))


@pytest.mark.parametrize("options", [{}, {"user_hash_key": "k"}])
@pytest.mark.parametrize("is_odd", [False, True])
def test_users_of_parquet_are_decoded_once_and_are_those_of_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], is_odd: bool
) -> None:
    decoded: list[list[str]] = []
    iterate = pq.ParquetFile.iter_batches

    def spy(file: pq.ParquetFile, rows: int, *, columns: list[str]) -> Any:
        decoded.append(columns)
        return iterate(file, rows, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    users = ["u1", "", None, "u2", "u1"]
    calls = [{**CALL, "user_id": user, "input_tokens": -1 if is_odd and n == 3 else n} for n, user in enumerate(users)]
    found = []
    for name, content in (
        ("a.parquet", parquet(pa.Table.from_pylist(calls))),
        ("a.jsonl", "".join(json.dumps(call) + "\n" for call in calls).encode()),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(content)
        rows, notes = read(tmp_path / "landed" / name, tmp_path / name, **options)
        found.append(([row["user_hash"] for row in rows], [note for note in notes if "user" in note]))
    assert found[0] == found[1]
    assert [bool(user) for user in found[0][0]] == [
        bool(user and options) for user in users if user != "u2" or not is_odd
    ]
    assert bool(found[0][1]) != bool(options)
    assert sum("user_id" in columns for columns in decoded) == 1


def test_a_user_of_parquet_that_is_no_text_is_no_user(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.parquet").write_bytes(parquet(pa.Table.from_pylist([{**CALL, "user_id": b"u1"}])))
    [row], _ = read(tmp_path / "landed", tmp_path / "log", user_hash_key="k")
    assert row["user_hash"] is None


def test_a_bad_row_of_parquet_is_counted_with_its_number(tmp_path: Path) -> None:
    rows = [{**CALL, "task_id": f"t{n}", "input_tokens": -1 if n == 3 else n} for n in range(1, 6)]
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.parquet").write_bytes(parquet(pa.Table.from_pylist(rows)))
    found, notes = read(tmp_path / "landed", tmp_path / "log")
    assert [row["task_id"] for row in found] == ["t1", "t2", "t4", "t5"]
    assert notes == ["rejected 1 of 5 lines: input_tokens: negative (line 3)"]


def test_a_damaged_parquet_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet(pa.Table.from_pylist([CALL]))[:-20])
    with pytest.raises(PayloadError, match=r"calls: a.parquet: is not a whole Parquet file"):
        read(tmp_path / "landed", tmp_path)


def test_calls_that_another_source_speaks_for_are_left_out_and_counted(tmp_path: Path) -> None:
    content = line(task_id="a") + line(task_id="b", provider="anthropic") + line(task_id="c", feature=None)
    (tmp_path / "a.jsonl").write_text(content)
    others = [{"feature": "support_chat", "provider": "OpenAI"}]
    found, notes = read(tmp_path / "landed", tmp_path / "a.jsonl", leave_out=others)
    assert [row["task_id"] for row in found] == ["b", "c"]
    assert "1 left out: calls that another source is the source of record for" in notes


def test_a_hundred_tags_are_one_call_and_calls_out_of_order_are_counted(tmp_path: Path) -> None:
    content = line(time="2026-01-05T12:00:00Z", tags=[f"feature:{n}" for n in range(100)])
    content += line(time="2026-01-05T11:30:00Z") + line(time="2026-01-05T09:00:00Z")
    (tmp_path / "a.jsonl").write_text(content)
    found, notes = read(tmp_path / "landed", tmp_path / "a.jsonl")
    assert [row["feature"] for row in found] == ["support_chat"] * 3
    assert "1 of 3 calls: more than an hour older than a call before it" in notes
    assert "fields dropped before anything was written: tags (1×)" in notes


@pytest.mark.parametrize("block", [None, 400])
def test_one_clock_that_runs_ahead_puts_no_other_call_out_of_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int | None
) -> None:
    if block is not None:  # a line or two at a time
        monkeypatch.setattr("connectors.calls.json_lines.BLOCK_BYTES", block)
    times = ["05T10:00", "05T10:01", "09T12:00", "05T10:02", "05T10:03", "07T00:00", "07T00:01", "05T10:04", "07T00:02"]
    (tmp_path / "a.jsonl").write_text("".join(line(time=f"2026-01-{at}:00Z") for at in times))
    found, notes = read(tmp_path / "landed", tmp_path / "a.jsonl")
    assert len(found) == 9
    assert "1 of 9 calls: more than an hour older than a call before it" in notes  # 10:04, after two of the 7th


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{**CALL, "task_id": f"t{n}", "note": "ü" * (n % 50)} for n in range(300)]
    rows[70]["output_tokens"] = -1
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()

    def project() -> tuple[list[dict[str, Any]], bytes]:
        projection = Projection(b"key")
        found = [row for batch in project_lines(io.BytesIO(content), projection) for row in batch.to_pylist()]
        return found, projection.report()

    whole = project()
    monkeypatch.setattr("connectors.calls.json_lines.BLOCK_BYTES", 777)
    assert project() == whole
    assert len(whole[0]) == 299
