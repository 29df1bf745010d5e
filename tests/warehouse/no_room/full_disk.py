"""What must hold on a full disk. Each check runs in a process of its own, which mounts its disk: see test_no_room.

python -m tests.warehouse.no_room.full_disk CHECK FOLDER
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import DeliveryRef, Payload
from flows.commands.check import check_all
from flows.settings import Settings
from tests.warehouse.bills import JANUARY, NOW, Home, charge_rows, one
from warehouse.errors import LandingError, StoreError
from warehouse.landing import Landing
from warehouse.publish import PublishError, publish
from warehouse.state import StateError, StateStore
from warehouse.store import open_warehouse

MEGABYTES = 12
NO_DISK = 3  # exit code: it may not be mounted


@contextmanager
def full(disk: Path, *, but: int = 0) -> Iterator[None]:
    """No room on `disk` but for so many bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as handle:
        try:
            while True:
                handle.write(bytes(1 << 16))
        except OSError:
            handle.truncate(filler.stat().st_size - but)
    try:
        yield
    finally:
        filler.unlink()


def store(landing: Landing, content: bytes) -> None:
    ref = DeliveryRef("drop", "bill.parquet", JANUARY, "scope")
    landing.store(ref, [Payload("bill.parquet", [content])], source_type="focus_files", fetched_at=NOW)


def check_landing(disk: Path) -> None:
    landing = Landing(disk / "landing")
    content = secrets.token_bytes(200_000)
    for room in (0, 100_000):
        with full(disk, but=room), pytest.raises(LandingError, match=r"landing/drop/.*No space left.*free space there"):
            store(landing, content)
        assert landing.deliveries() == []
        assert list(disk.glob("landing/*/*/*")) == []
    store(landing, content)
    [landed] = landing.deliveries()
    landing.verify(landed)


def check_warehouse(disk: Path) -> None:
    home = Home(disk)
    rows = charge_rows(*({"billed_cost": Decimal(day), "resource_id": f"r{day}"} for day in range(1, 5)))
    with home.open() as wh:
        home.load_rows(wh, rows)
        wh.con.execute("CHECKPOINT")
    many = (
        "INSERT INTO core.charge_amounts BY NAME "
        "SELECT a.* REPLACE (uuid()::VARCHAR AS resource_id) FROM core.charge_amounts AS a, range(50000)"
    )
    with (
        full(disk),
        pytest.raises(StoreError, match=rf"{disk}/warehouse: it cannot be written.*free space there"),
        open_warehouse(disk, threads=1) as wh,
    ):
        wh.commit(lambda: wh.con.execute(many))
    with home.open() as wh:
        assert one(wh, "SELECT sum(billed_cost) FROM core.charges") == 10


def check_snapshot(disk: Path) -> None:
    state = StateStore(f"sqlite:///{disk}/state.sqlite")
    state.create()
    published = disk / "published" / "trendbreak.duckdb"
    with open_warehouse(disk, threads=1) as wh:
        publish(wh, state, published=published, now=NOW)
        wh.con.execute("CREATE TABLE marts.x AS SELECT uuid() AS id FROM range(20000)")
        wh.con.execute("CHECKPOINT")
        before = published.read_bytes()
        with full(disk, but=600_000), pytest.raises(PublishError, match=r"published.*is the disk full"):
            publish(wh, state, published=published, now=NOW)
        assert published.read_bytes() == before
    with open_warehouse(disk, threads=1) as wh:
        publish(wh, state, published=published, now=NOW)
    assert published.read_bytes() != before


def check_state_store(disk: Path) -> None:
    state = StateStore(f"sqlite:///{disk}/state.sqlite")
    state.create()
    state.set_watermark("drop", "before", NOW)
    with full(disk), pytest.raises(StateError, match=r"state\.sqlite.*full\? free space there"):
        state.set_watermark("drop", "x" * 2_000_000, NOW)
    assert state.watermarks() == {"drop": "before"}
    state.set_watermark("drop", "after", NOW)
    assert state.watermarks() == {"drop": "after"}


def find_home(home: Path) -> tuple[bool, str]:
    """What `trendbreak check` says of a home."""
    found = check_all(Path("trendbreak.yml"), Settings(home=home))
    return next((result.ok, result.detail) for subject, result in found if subject == "home")


def check_read_only(disk: Path) -> None:
    state = StateStore(f"sqlite:///{disk}/state.sqlite")
    state.create()
    with open_warehouse(disk, threads=1):
        pass
    store(Landing(disk / "landing"), b"1")
    assert find_home(disk) == (True, str(disk))
    (disk / "state.sqlite-wal").touch()  # as one that was killed leaves it
    (disk / "prefect").mkdir()
    (disk / "prefect" / "server.log").touch()
    # What a run by root has left: files and folders of its own in a home of another.
    window = next((disk / "landing" / "drop").iterdir())
    files = (
        "warehouse/trendbreak.duckdb",
        "warehouse/staging.duckdb",
        "warehouse/.lock",
        "state.sqlite-wal",
        "prefect/server.log",
    )
    for place in (window, *(disk / name for name in files)):
        subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        assert find_home(disk) == (False, f"{place} cannot be written")
        subprocess.run(["umount", str(place)], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StoreError, match=r"Read-only.*mounted read-only"), open_warehouse(disk, threads=1):
        pass
    with pytest.raises(StateError, match=r"state\.sqlite.*mount its disk to be written"):
        state.set_watermark("drop", "after", NOW)
    assert find_home(disk) == (False, f"{disk} cannot be written")


def main(check: str, folder: str) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", folder]
    if subprocess.run(mount, check=False).returncode != 0:
        sys.exit(NO_DISK)
    globals()[f"check_{check}"](Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
