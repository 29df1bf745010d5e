"""Prompts and user ids are planted in telemetry; then every byte that a run leaves behind is looked at."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from tests.flows.command import trendbreak
from tests.flows.small_bill import write_small_home

PROMPT, USER, MAIL = "canary-prompt-7f3a", "canary-user-99b1", "canary@people.example"


def write_calls(folder: Path) -> None:
    folder.mkdir()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    call = {
        "time": yesterday.isoformat(),
        "provider": "openai",
        "model": "gpt-5-mini",
        "feature": "support_chat",
        "input_tokens": 10,
        "output_tokens": 5,
    }
    hostile = [
        {**call, "task_id": "t1", "user_id": USER, "prompt": PROMPT, "messages": [{"role": "user", "content": PROMPT}]},
        {**call, "task_id": "t1", "user_id": MAIL, "attempt": 2, "answer": {"text": PROMPT}, PROMPT: 1},
        {**call, "task_id": "t2", "user_id": USER, "input_tokens": -1, "metadata": PROMPT},  # rejected
        {**call, "task_id": PROMPT * 20, "user_id": USER},  # rejected: no identifier
        {**call, "task_id": "t3", "user_id": {"mail": MAIL}, "time": PROMPT},  # rejected
    ]
    text = "".join(json.dumps(record) + "\n" for record in hostile) + f"{PROMPT} is no JSON\n" + '{"prompt": "' + PROMPT
    (folder / "a.jsonl").write_text(text)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(text.replace('"t1"', '"t9"').encode()))


def contents(path: Path) -> str:
    """The file as text, unpacked: compression must not hide what stands in it."""
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist())
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode(errors="replace")
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as con:
            tables = con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
            return str([con.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall() for schema, table in tables])
    return path.read_bytes().decode(errors="replace")


def test_no_prompt_and_no_user_id_reaches_any_disk(tmp_path: Path) -> None:
    events = tmp_path / "somebody-elses" / "events"
    events.parent.mkdir()
    write_calls(events)
    home = tmp_path / "home"
    config = write_small_home(home, days=20)
    config.write_text(
        config.read_text().replace("sources:\n", f"sources:\n  - {{name: calls, type: events, location: {events}}}\n")
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = trendbreak("run", "--direct", cwd=home, TMPDIR=str(scratch))
    assert done.returncode == 0, done.stderr + done.stdout
    told = trendbreak("status", cwd=home)
    assert "telemetry calls: rejected 8 (rejected)" in " ".join(told.stdout.split())

    files = [path for folder in (home, scratch) for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".parquet", ".duckdb", ".gz"}
    for path in files:
        raw = path.read_bytes()
        text = contents(path)
        for canary in (PROMPT, USER, MAIL):
            assert canary.encode() not in raw, f"{canary} in {path}"
            assert canary not in text, f"{canary} in {path}"
    for canary in (PROMPT, USER, MAIL):
        assert canary not in done.stdout + done.stderr + told.stdout

    with duckdb.connect(str(home / "data" / "warehouse" / "staging.duckdb"), read_only=True) as staging:
        users = staging.execute("SELECT task_id, attempt, user_hash FROM stg_calls ORDER BY ALL").fetchall()
    assert [user[:2] for user in users] == [("t1", 2), ("t1", None), ("t9", 2), ("t9", None)]
    assert len({user[2] for user in users}) == 2, "two users, each with one hash in both files"
    key = home / "data" / "user_hash.key"
    assert key.stat().st_mode & 0o077 == 0
    secret = key.read_text()
    assert not any(secret in contents(path) for path in files if path != key)
    with duckdb.connect(str(home / "data" / "published" / "trendbreak.duckdb"), read_only=True) as published:
        assert published.execute("SELECT sum(calls) FROM core.usage").fetchall() == [(4,)]
        hashes = {user[2] for user in users}
        assert not any(user in contents(home / "data" / "published" / "trendbreak.duckdb") for user in hashes)


def test_the_environments_key_goes_before_the_homes_own(tmp_path: Path) -> None:
    events = tmp_path / "events"
    write_calls(events)
    config = write_small_home(tmp_path / "home", days=20)
    config.write_text(
        config.read_text().replace("sources:\n", f"sources:\n  - {{name: calls, type: events, location: {events}}}\n")
    )
    done = trendbreak("run", "--direct", cwd=tmp_path / "home", TRENDBREAK_USER_HASH_KEY="pepper-4711")
    assert done.returncode == 0, done.stderr + done.stdout
    assert not (tmp_path / "home" / "data" / "user_hash.key").exists()
