"""Backup and restore: all of one moment, verified, never half; and what retention may remove."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from flows.commands.rebuild import rebuild
from flows.keeping.backup import BackupError, back_up, restore
from flows.keeping.maintain import maintain
from flows.keeping.retention import remove_superseded
from flows.run import open_run
from flows.settings import Settings, load_settings
from flows.steps.direct import run_direct
from flows.summary import summarise
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from tests.servers.s3 import Moto, moto_server
from warehouse.errors import StoreError, WarehouseLocked
from warehouse.landing import Landing
from warehouse.state import StateStore
from warehouse.store import open_warehouse

NOW = datetime.now(UTC)


def run(settings: Settings, now: datetime = NOW) -> None:
    with open_run(settings, now=now) as one:
        run_direct(one)
        assert not summarise(one).failures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after two runs, the second of which restated a day; tests work on copies."""
    folder = tmp_path_factory.mktemp("home")
    config = write_small_home(folder)
    run(load_settings(config), NOW - timedelta(days=100))
    lines = bill_lines(first_day(), 60, last_factor=Decimal(2), last_days=5)
    (folder / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    run(load_settings(config))
    return folder


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_server() as server:
        yield server


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def settings_of(folder: Path) -> Settings:
    return load_settings(folder / "trendbreak.yml")


def contents(folder: Path) -> dict[str, Any]:
    """What a reader sees, and what the state store says."""
    with duckdb.connect(str(folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        sums = con.execute("SELECT count(*), sum(billed_cost), sum(effective_cost) FROM core.charges").fetchall()
        marts = con.execute("SELECT * FROM marts.feature_cost_daily ORDER BY ALL").fetchall()
    state = StateStore(f"sqlite:///{folder / 'data' / 'state.sqlite'}")
    return {
        "sums": sums,
        "marts": marts,
        "incidents": state.list_incidents(),
        "outbox": state.outbox(),
        "runs": state.list_runs(),
        "forecasts": state.list_forecasts(),
    }


def empty_home(folder: Path) -> Settings:
    shutil.rmtree(folder / "data")
    return settings_of(folder)


def test_what_was_backed_up_comes_back_whole_also_after_a_lost_disk(home: Path, tmp_path: Path) -> None:
    before = contents(home)
    assert before["incidents"], "the home must have something to lose"
    made = back_up(settings_of(home), str(tmp_path / "backups"), with_landing=True)
    done = restore(empty_home(home), str(tmp_path / "backups"))
    assert (done.name, done.missing) == (made.name, ())
    assert contents(home) == before
    run(settings_of(home))
    assert contents(home)["sums"] == before["sums"], "the next run goes on as if nothing had happened"
    assert contents(home)["outbox"] == before["outbox"]


def test_without_landing_its_index_says_what_is_missing(home: Path, tmp_path: Path) -> None:
    back_up(settings_of(home), str(tmp_path / "backups"))
    done = restore(empty_home(home), str(tmp_path / "backups"))
    assert len(done.missing) == 2


def test_a_home_that_holds_data_is_replaced_only_by_force(home: Path, tmp_path: Path) -> None:
    settings = settings_of(home)
    before = contents(home)
    back_up(settings, str(tmp_path / "backups"))
    marks = StateStore(settings.state_url).watermarks()
    StateStore(settings.state_url).set_watermark("later", "1", NOW)
    with pytest.raises(BackupError, match="--force"):
        restore(settings, str(tmp_path / "backups"))
    assert StateStore(settings.state_url).watermarks() == marks | {"later": "1"}
    restore(settings, str(tmp_path / "backups"), force=True)
    assert StateStore(settings.state_url).watermarks() == marks
    assert contents(home) == before


def test_what_waited_at_the_backup_is_looked_for_before_it_is_sent(home: Path, tmp_path: Path) -> None:
    """It may have been sent since, and the restored state does not know."""
    settings = settings_of(home)
    state = StateStore(settings.state_url)
    state.enqueue(
        "inc-9/1/open", incident_id="inc-9", channel="#c", thread_of=None, kind="open", payload={}, created_at=NOW
    )
    back_up(settings, str(tmp_path / "backups"))
    state.mark_sent("inc-9/1/open", NOW, "C1", "1.0")
    restore(settings, str(tmp_path / "backups"), force=True)
    assert [(row["key"], row["status"], row["sending_at"]) for row in state.pending()] == [
        ("inc-9/1/open", "sending", NOW)
    ]


@pytest.mark.parametrize("victim", ["warehouse/trendbreak.duckdb", "state.sqlite", "landing-index.json"])
def test_one_changed_byte_is_found_before_anything_is_touched(home: Path, tmp_path: Path, victim: str) -> None:
    made = back_up(settings_of(home), str(tmp_path / "backups"))
    path = tmp_path / "backups" / made.name / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = contents(home)
    with pytest.raises(BackupError, match=victim):
        restore(settings_of(home), str(tmp_path / "backups"), force=True)
    assert contents(home) == before
    path.unlink()
    with pytest.raises(BackupError, match=victim):
        restore(settings_of(home), str(tmp_path / "backups"), force=True)


def test_a_manifest_cannot_name_files_outside_the_backup(home: Path, tmp_path: Path) -> None:
    made = back_up(settings_of(home), str(tmp_path / "backups"))
    path = tmp_path / "backups" / made.name / "manifest.json"
    manifest = json.loads(path.read_text())
    for outside in ("../../../escaped", "/tmp/escaped"):
        manifest["files"][0]["path"] = outside
        path.write_text(json.dumps(manifest))
        with pytest.raises(BackupError, match="outside"):
            restore(settings_of(home), str(tmp_path / "backups"), force=True)
    path.write_text("{")
    with pytest.raises(BackupError, match="cannot be read"):
        restore(settings_of(home), str(tmp_path / "backups"), force=True)


def test_a_backup_of_a_newer_program_is_refused_and_the_home_stays(home: Path, tmp_path: Path) -> None:
    before = contents(home)
    made = back_up(settings_of(home), str(tmp_path / "backups"))
    folder = tmp_path / "backups" / made.name
    with duckdb.connect(str(folder / "warehouse" / "trendbreak.duckdb")) as con:
        con.execute("INSERT INTO ops.migrations VALUES (9999, 'later', 'x')")
    manifest = json.loads((folder / "manifest.json").read_text())
    for one in manifest["files"]:
        one["sha256"] = hashlib.sha256((folder / one["path"]).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="newer program"):
        restore(settings_of(home), str(tmp_path / "backups"), force=True)
    assert contents(home) == before


def test_a_backup_waits_for_a_run_and_names_who_it_waits_for(home: Path, tmp_path: Path) -> None:
    with open_warehouse(home / "data"), pytest.raises(WarehouseLocked, match=str(os.getpid())):
        back_up(settings_of(home), str(tmp_path / "backups"), wait_seconds=0)
    assert not list((tmp_path / "backups").iterdir()), "nothing half stays behind"


def test_a_killed_backup_is_no_backup_and_a_killed_restore_is_made_again(home: Path, tmp_path: Path) -> None:
    settings, backups = settings_of(home), tmp_path / "backups"
    before = contents(home)
    good = back_up(settings, str(backups))
    # So much to copy that the kill meets it half-way.
    window = next((home / "data" / "landing").glob("[!.]*/*"))
    (window / "delivery.large").mkdir()
    with (window / "delivery.large" / "payload.parquet").open("wb") as handle:
        handle.truncate(400 << 20)
    kill_when(home, ("backup", str(backups), "--with-landing"), lambda: any(backups.glob(".partial-*/landing/*/*/*")))
    assert any(backups.glob(".partial-*"))
    assert restore(settings, str(backups), force=True).name == good.name
    shutil.rmtree(window / "delivery.large")
    back_up(settings, str(backups))
    assert not any(backups.glob(".partial-*")), "the next backup removes what the killed one left"
    kill_when(home, ("restore", str(backups), "--force"), lambda: any((home / "data").glob(".restoring-*/warehouse/*")))
    restore(settings, str(backups), force=True)
    assert not any((home / "data").glob(".restoring-*"))
    assert contents(home) == before


def kill_when(home: Path, arguments: tuple[str, ...], is_time: Any) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not is_time():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_the_oldest_backups_go_when_more_than_keep_are_there(home: Path, tmp_path: Path) -> None:
    with (home / "trendbreak.yml").open("a") as config:
        config.write(f"backup: {{location: {tmp_path / 'b'}, keep: 2}}\n")
    settings = settings_of(home)
    for day in range(4):
        maintain(settings, now=NOW + timedelta(days=day))
    kept = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert [name[:8] for name in kept] == [f"{NOW + timedelta(days=day):%Y%m%d}" for day in (2, 3)]


def test_a_bucket_holds_backups_too(home: Path, moto: Moto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key, text in (
        ("AWS_ENDPOINT_URL_S3", moto.url),
        ("AWS_ACCESS_KEY_ID", "test-key"),
        ("AWS_SECRET_ACCESS_KEY", "test-secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(key, text)
    client = moto.client("s3")
    client.create_bucket(Bucket="backups")
    settings, before = settings_of(home), contents(home)
    first = back_up(settings, "s3://backups/prod")
    # One that was broken off: no manifest.
    client.put_object(Bucket="backups", Key="prod/99990101T000000Z-ffff/state.sqlite", Body=b"x")
    assert restore(empty_home(home), "s3://backups/prod").name == first.name
    assert contents(home) == before
    second = back_up(settings, "s3://backups/prod", keep=1)
    with pytest.raises(BackupError, match=second.name):
        restore(settings, "s3://backups/prod", name=first.name, force=True)
    with pytest.raises(Exception, match="s3:ListBucket"):
        restore(settings, "s3://no-such-bucket/prod", force=True)


def test_retention_removes_only_what_was_replaced_long_ago(home: Path) -> None:
    settings = settings_of(home)
    landing = Landing(home / "data" / "landing")
    old, current = landing.deliveries()
    assert remove_superseded(settings, now=old.fetched_at + timedelta(days=89)).deliveries == 0
    removed = remove_superseded(settings, now=NOW)
    assert (removed.deliveries, removed.freed_bytes > 0) == (1, True)
    assert [one.delivery_id for one in landing.deliveries()] == [current.delivery_id]
    assert remove_superseded(settings, now=NOW + timedelta(days=9999)).deliveries == 0, "what speaks stays for ever"
    before = contents(home)
    run(settings)
    assert contents(home)["sums"] == before["sums"]
    assert rebuild(settings, Console(quiet=True)), "what a rebuild needs is still there"
    assert contents(home)["sums"] == before["sums"]
