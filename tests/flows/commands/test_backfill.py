"""`trendbreak backfill`: by months, resumed after a kill, recorded, exact."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.base import DeliveryRef, Window
from flows.backfills import check_days, month_windows, run_backfill, speaks_for
from flows.errors import FlowError
from flows.settings import load_settings
from tests.flows.command import trendbreak
from tests.servers import openai
from tests.servers.json_api import serve
from warehouse.state import StateStore

FIRST, LAST = date(2026, 3, 10), date(2026, 6, 20)
AS_OF = "2026-07-01"


def dollars(day: date) -> Decimal:
    return Decimal(day.toordinal() % 97) + Decimal("0.123456789")


@pytest.fixture
def provider() -> Iterator[openai.OpenAIStub]:
    days = [FIRST - timedelta(days=20) + timedelta(days=n) for n in range(130)]
    costs = [openai.Cost(day, dollars(day), "gpt-5, input", "proj-a") for day in days]
    with serve(openai.OpenAIStub(costs=costs, projects={"proj-a": "A"}, vary=False, admin_key="demo-stub")) as stub:
        assert isinstance(stub, openai.OpenAIStub)
        yield stub


def write_home(folder: Path, url: str, *, extra: str = "") -> None:
    (folder / "features.yml").write_text("version: 1\nfeatures: {}\nrules: []\n")
    (folder / "trendbreak.yml").write_text(
        "home: ./data\nbackfill_days: 5\nsources:\n"
        f'  - {{name: api, type: openai, admin_key: demo-stub, base_url: "{url}/v1"}}\n{extra}'
    )


def billed(folder: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        return con.execute("SELECT sum(billed_cost), min(charge_date), max(charge_date) FROM core.charges").fetchall()


def expected() -> Decimal:
    return sum((dollars(FIRST + timedelta(days=n)) for n in range((LAST - FIRST).days + 1)), Decimal(0))


def state_of(folder: Path) -> StateStore:
    return StateStore(f"sqlite:///{folder / 'data' / 'state.sqlite'}")


COMMAND = ("backfill", "--since", str(FIRST), "--until", str(LAST), "--as-of", AS_OF)


def test_a_killed_backfill_goes_on_where_it_was_and_is_exact(tmp_path: Path, provider: openai.OpenAIStub) -> None:
    write_home(tmp_path, provider.url)
    command = [sys.executable, "-m", "flows", *COMMAND, "--reason", "new key"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    loaded = wait_for_windows(tmp_path, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = state_of(tmp_path).list_backfills()
    assert [(row["status"], row["reason"]) for row in before] == [("running", "new key")]
    asked = len(provider.requests)
    done = trendbreak(*COMMAND, "--reason", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "taken up again" in done.stdout
    after = state_of(tmp_path).list_backfills()
    assert [(row["backfill_id"], row["status"], row["reason"]) for row in after] == [
        (before[0]["backfill_id"], "completed", "new key")
    ]
    windows = state_of(tmp_path).list_backfill_windows(before[0]["backfill_id"])
    assert [(row["window_start"], row["window_end"]) for row in windows] == [
        (part.start, part.end) for part in month_windows(Window(FIRST, LAST + timedelta(days=1)))
    ]
    assert {row["status"] for row in windows} == {"loaded"}
    assert billed(tmp_path) == [(expected(), FIRST, LAST)]
    starts = {int(request.query["start_time"][0]) for request in provider.requests[asked:] if "costs" in request.path}
    first_missing = sorted(window["window_start"] for window in windows)[loaded]
    assert min(starts) >= openai._seconds(first_missing), "a month that was in was asked for again"


def wait_for_windows(folder: Path, count: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (folder / "data" / "state.sqlite").exists():
            state = state_of(folder)
            state.create()
            for row in state.list_backfills():
                done = [one for one in state.list_backfill_windows(row["backfill_id"]) if one["status"] == "loaded"]
                if len(done) >= count:
                    return len(done)
        time.sleep(0.02)
    raise AssertionError("no window was loaded in a minute")


def test_a_month_that_fails_is_named_and_only_it_is_tried_again(tmp_path: Path, provider: openai.OpenAIStub) -> None:
    extra = "  - {name: export, type: aws_data_exports, location: ./nowhere}\n"
    write_home(tmp_path, provider.url, extra=extra)
    done = trendbreak(*COMMAND, "--reason", "first", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "export 2026-03" in done.stderr
    assert "nowhere" in done.stderr
    assert billed(tmp_path) == [(expected(), FIRST, LAST)]
    with duckdb.connect(str(tmp_path / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        counts = con.execute("SELECT status, count(*) FROM ops.backfill_windows GROUP BY ALL ORDER BY ALL").fetchall()
    assert counts == [("failed", 4), ("loaded", 4)]
    asked = len(provider.requests)
    write_home(tmp_path, provider.url)
    again = trendbreak(*COMMAND, "--reason", "second", cwd=tmp_path)
    assert again.returncode == 1, "the months of a source that is gone are still not in"
    assert len(provider.requests) == asked


def test_a_restated_past_is_recorded_and_told_in_the_progress(tmp_path: Path, provider: openai.OpenAIStub) -> None:
    write_home(tmp_path, provider.url)
    arguments = ("backfill", "--since", "2026-04-01", "--until", "2026-04-28", "--as-of", AS_OF)
    assert trendbreak(*arguments, "--reason", "first", cwd=tmp_path).returncode == 0
    provider.restate(date(2026, 4, 10), Decimal("1.5"))
    done = trendbreak(*arguments, "--reason", "corrected", "--source", "api", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 past day restated" in done.stdout
    assert len(state_of(tmp_path).list_backfills()) == 2


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(tmp_path: Path, provider: openai.OpenAIStub) -> None:
    extra = "  - {name: ce, type: aws_cost_explorer, region: us-east-1}\n"
    write_home(tmp_path, provider.url, extra=extra)
    done = trendbreak(*COMMAND, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "at least $0.08" in done.stdout
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("first", "last", "reason", "source", "said"),
    [
        (date(2026, 3, 1), date(2026, 2, 1), "r", None, "before --since"),
        (date(2026, 3, 1), date(2026, 7, 1), "r", None, "not over yet"),
        (date(1970, 3, 1), date(2026, 2, 1), "r", None, "no source goes back"),
        (date(2026, 1, 1), date(2026, 2, 1), " ", None, "--reason is empty"),
        (date(2026, 1, 1), date(2026, 2, 1), "r", "apj", "did you mean 'api'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    tmp_path: Path, first: date, last: date, reason: str, source: str | None, said: str
) -> None:
    write_home(tmp_path, "http://127.0.0.1:9")
    settings = load_settings(tmp_path / "trendbreak.yml")
    with pytest.raises(FlowError, match=said):
        run_backfill(
            settings, first=first, last=last, reason=reason, source=source, as_of=date(2026, 7, 1), say=lambda _: None
        )
    assert not (tmp_path / "data" / "warehouse").exists()


def test_months_are_cut_at_their_first_day() -> None:
    parts = month_windows(Window(date(2024, 1, 31), date(2024, 3, 2)))
    assert [(part.start, part.end) for part in parts] == [
        (date(2024, 1, 31), date(2024, 2, 1)),
        (date(2024, 2, 1), date(2024, 3, 1)),
        (date(2024, 3, 1), date(2024, 3, 2)),
    ]
    assert check_days(date(2024, 1, 1), date(2024, 1, 1), as_of=date(2024, 1, 2)).end == date(2024, 1, 2)
    with pytest.raises(FlowError):
        check_days(date(2024, 1, 1), date(2024, 1, 1), as_of=date(2024, 1, 1))


def test_what_speaks_later_for_the_same_days_belongs_to_a_later_month() -> None:
    part = Window(date(2026, 2, 1), date(2026, 3, 1))

    def ref(start: date, end: date) -> DeliveryRef:
        return DeliveryRef("gcp", "partition", Window(start, end), "scope")

    later = ref(date(2026, 3, 1), date(2026, 3, 2))
    assert not speaks_for(later, part, is_last=False)
    assert speaks_for(later, part, is_last=True)
    assert not speaks_for(ref(date(2026, 1, 30), date(2026, 2, 1)), part, is_last=True)
    assert speaks_for(ref(date(2026, 1, 1), date(2026, 12, 1)), part, is_last=False)
    file = ref(part.start, part.end)
    assert not speaks_for(file, part, is_last=False, is_telemetry=True), "read once, by the last month"
    assert speaks_for(file, part, is_last=True, is_telemetry=True)
