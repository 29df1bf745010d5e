"""What lands stays as it was sent, whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import DeliveryRef, Payload, Window
from warehouse.errors import LandingError
from warehouse.landing import LandedDelivery, Landing

WINDOW = Window(date(2026, 1, 1), date(2026, 2, 1))
REF = DeliveryRef("drop", "a.csv", WINDOW, "scope", identity="v1")
NOW = datetime(2026, 2, 3, 6, tzinfo=UTC)


def store(landing: Landing, *payloads: tuple[str, bytes], ref: DeliveryRef = REF, at: datetime = NOW) -> LandedDelivery:
    return landing.store(
        ref, [Payload(name, [data]) for name, data in payloads], source_type="focus_files", fetched_at=at
    )


def files_under(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_bytes_come_back_as_they_were_sent(tmp_path: Path) -> None:
    payloads = [
        ("a.csv", b"x,y\n1,2\n"),
        ("data/p.parquet", b"PAR1\0"),
        ("page-0001.json", b"{}"),
        ("b.csv.gz", b"\x1f"),
    ]
    landed = store(Landing(tmp_path), *payloads)
    assert list(landed.files) == ["a.csv", "data/p.parquet", "page-0001.json", "b.csv.gz"]
    assert [path.name for path in landed.files.values()] == ["a.csv.gz", "p.parquet", "page-0001.json.gz", "b.csv.gz"]
    for name, data in payloads:
        path = landed.files[name]
        compressed = path.name != Path(name).name
        assert (gzip.decompress(path.read_bytes()) if compressed else path.read_bytes()) == data
    assert landed.path == tmp_path / "drop" / "2026-01-01_2026-02-01" / landed.delivery_id
    assert (landed.source_name, landed.source_type, landed.scope) == ("drop", "focus_files", "a.csv")
    assert (landed.window_start, landed.window_end, landed.replaces) == (WINDOW.start, WINDOW.end, "scope")
    assert (landed.identity, landed.fetched_at) == ("v1", NOW)


def test_names_as_long_as_a_disk_takes(tmp_path: Path) -> None:
    names = [f"{letter * 251}.csv" for letter in "ab"] + [f"{'ü' * 120}/{'é' * 124}.csv.gz"]
    landed = store(Landing(tmp_path), *((name, name[:1].encode()) for name in names))
    assert list(landed.files) == names
    assert len(set(landed.files.values())) == 3
    assert gzip.decompress(landed.files[names[1]].read_bytes()) == b"b"
    assert landed.files[names[2]].name.endswith("é.csv.gz")


def test_equal_content_lands_once_and_bytes_are_reproducible(tmp_path: Path) -> None:
    one, other = Landing(tmp_path / "1"), Landing(tmp_path / "2")
    first = store(one, ("a.csv", b"x\n" * 1000))
    again = store(one, ("a.csv", b"x\n" * 1000))
    assert again == first
    assert len(one.deliveries()) == 1
    store(other, ("a.csv", b"x\n" * 1000))
    assert files_under(other.root) == files_under(one.root)


def test_another_content_scope_source_or_window_is_another_delivery(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    ids = {
        store(landing, ("a.csv", b"1")).delivery_id,
        store(landing, ("a.csv", b"2")).delivery_id,
        store(landing, ("b.csv", b"1")).delivery_id,
        store(landing, ("a.csv", b"1"), ref=DeliveryRef("drop", "b.csv", WINDOW, "scope")).delivery_id,
        store(landing, ("a.csv", b"1"), ref=DeliveryRef("other", "a.csv", WINDOW, "scope")).delivery_id,
        store(
            landing, ("a.csv", b"1"), ref=DeliveryRef("drop", "a.csv", Window(WINDOW.start, date(2026, 1, 3)), "scope")
        ).delivery_id,
    }
    assert len(ids) == 6
    assert len(landing.deliveries("drop")) == 5


def test_the_content_hash_of_one_payload_is_that_of_its_bytes(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    ref = DeliveryRef("drop", "b.csv", WINDOW, "scope")
    assert store(landing, ("a.csv", b"1")).content_hash == store(landing, ("b.csv", b"1"), ref=ref).content_hash


def test_deliveries_come_in_the_order_of_fetching_also_after_a_return(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    first = store(landing, ("a.csv", b"1"))
    second = store(landing, ("a.csv", b"2"), at=NOW + timedelta(days=1))
    assert [one.delivery_id for one in landing.deliveries()] == [first.delivery_id, second.delivery_id]
    store(landing, ("a.csv", b"1"), at=NOW + timedelta(days=2))
    assert [one.delivery_id for one in landing.deliveries()] == [second.delivery_id, first.delivery_id]


def test_an_empty_delivery_is_a_delivery(tmp_path: Path) -> None:
    assert Landing(tmp_path).deliveries() == []
    landed = store(Landing(tmp_path))
    assert landed.files == {}
    assert Landing(tmp_path).deliveries() == [landed]


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("reset")

    landing = Landing(tmp_path)
    with pytest.raises(ConnectionError):
        landing.store(REF, [Payload("a.csv", [b"1"]), Payload("b.csv", chunks())], source_type="x", fetched_at=NOW)
    assert files_under(tmp_path) == {}
    assert landing.deliveries() == []


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", ".", "manifest.json"])
def test_a_payload_stays_in_its_delivery(tmp_path: Path, name: str) -> None:
    with pytest.raises(LandingError, match="payload"):
        store(Landing(tmp_path / "landing"), (name, b"1"))
    assert files_under(tmp_path) == {}


def test_two_payloads_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(LandingError, match=r"two payloads are called 'a\.csv'"):
        store(Landing(tmp_path), ("a.csv", b"1"), ("a.csv", b"2"))


@pytest.mark.parametrize("name", ["..", "a/b", ""])
def test_a_source_is_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(LandingError, match="rename the source"):
        store(Landing(tmp_path), ref=DeliveryRef(name, "s", WINDOW, "scope"))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 99}', '{"version": 1}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, damage: str) -> None:
    landed = store(Landing(tmp_path), ("a.csv", b"1"))
    (landed.path / "manifest.json").write_text(damage)
    with pytest.raises(LandingError) as caught:
        Landing(tmp_path).deliveries()
    assert str(landed.path / "manifest.json") in str(caught.value)
    assert "run again" in str(caught.value)


def test_a_manifest_of_another_delivery(tmp_path: Path) -> None:
    landed = store(Landing(tmp_path), ("a.csv", b"1"))
    landed.path.rename(landed.path.with_name("elsewhere"))
    with pytest.raises(LandingError, match="another delivery"):
        Landing(tmp_path).deliveries()


def test_damaged_bytes_are_found_and_healed(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    landed = store(landing, ("a.csv", b"1" * 99), ("b.parquet", b"2"))
    landing.verify(landed)
    for name, bad in (("a.csv", b"\x1f\x8bnonsense"), ("b.parquet", b"3")):
        landed.files[name].write_bytes(bad)
        with pytest.raises(LandingError, match="landed"):
            landing.verify(landed)
        healed = store(landing, ("a.csv", b"1" * 99), ("b.parquet", b"2"))
        landing.verify(healed)
        assert healed.delivery_id == landed.delivery_id
    landed.files["a.csv"].unlink()
    with pytest.raises(LandingError, match="missing"):
        landing.verify(landed)


WRITER = """
import sys, time
from datetime import UTC, date, datetime
from pathlib import Path
from connectors.base import DeliveryRef, Payload, Window
from warehouse.landing import Landing

def chunks():
    yield b"x" * 1000
    print("writing", flush=True)
    time.sleep(60)

Landing(Path(sys.argv[1])).store(
    DeliveryRef("drop", "a.csv", Window(date(2026, 1, 1), date(2026, 2, 1)), "scope"),
    [Payload("first.json", [b"{}"]), Payload("a.csv", chunks())],
    source_type="x", fetched_at=datetime(2026, 2, 3, tzinfo=UTC),
)
"""


def test_what_a_killed_writer_leaves_is_swept_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    kept = store(landing, ("a.csv", b"1"))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        assert landing.deliveries() == [kept]
        assert landing.sweep() == []
        assert len(list(tmp_path.glob("*/*/*.partial-*"))) == 1
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
    deadline = time.monotonic() + 5
    while not (removed := landing.sweep()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(removed) == 1
    assert landing.deliveries() == [kept]
    assert list(tmp_path.glob("*/*/*.partial-*")) == []


def test_the_manifest_says_what_was_sent(tmp_path: Path) -> None:
    landed = store(Landing(tmp_path), ("a.csv", b"1"))
    manifest = json.loads((landed.path / "manifest.json").read_text())
    assert manifest["files"] == [
        {
            "name": "a.csv",
            "path": "a.csv.gz",
            "sha256": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
            "stored_bytes": landed.sizes["a.csv"],
        }
    ]
    assert str(tmp_path) not in json.dumps(manifest)
