"""The read-only snapshot that everyone but the writer reads: `published/trendbreak.duckdb`.

The state store's tables are copied into ops.*, the writer's file is checkpointed, copied beside the
published file, forced to disk, looked at, and put in its place by one rename. A reader that is open keeps the
snapshot it opened; a new one gets the whole new file. Telemetry by call (staging) is in another
file and never leaves the writer.

Of a DuckLake the same file is written from one of its snapshots, which a commit message marks as published: loads
that commit meanwhile are not in it, and any machine can write the file again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb

from warehouse import lake_snapshots
from warehouse.errors import WarehouseError
from warehouse.lake import Lake
from warehouse.statements import render
from warehouse.store import Warehouse, hold_lock

if TYPE_CHECKING:
    import pyarrow as pa

# DuckDB holds its file by a POSIX lock, which this process would lose by closing any other handle of
# the same file: another process must do the copying.
_COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"

WAIT_SECONDS = 300.0  # for another process that writes the same file


class PublishError(WarehouseError):
    """The snapshot could not be made; the one published before still stands."""


class HasExport(Protocol):
    """What publishing needs of the state store."""

    def export(self) -> dict[str, pa.Table]: ...


def publish(wh: Warehouse, state: HasExport, *, published: Path, now: datetime) -> Path:
    """Publish what the warehouse holds now, outside any transaction; returns `published`.

    Publishing again when nothing has changed is harmless. Raises PublishError, the old snapshot
    untouched, when the copy cannot be written or does not open.
    """

    def write(temporary: Path) -> None:
        if wh.lake is not None:
            lake_snapshots.copy_snapshot(wh.lake, version, temporary, con=wh.con)
            return
        source = _checkpoint(wh.con)
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _COPY, str(source), str(temporary)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise OSError(said[-1] if said else f"the copy ended with {done.returncode}")

    with _failure_named(published):
        _copy_state(wh, state, now)
        version = lake_snapshots.last_committed(wh.con) if wh.lake is not None else -1
        with _place(published):
            _put_in_place(write, published, now)
    return published


def bring_published(lake: Lake, published: Path) -> None:
    """Make `published` the newest snapshot that was published of the lake, by whichever machine; nothing where it is.

    Raises StoreError, the file untouched, where the lake cannot be asked, nothing is published, or another process
    takes too long to bring the same.
    """
    newest = lake_snapshots.find_published(lake).version
    if lake_snapshots.read_version(published) == newest:
        return
    with _failure_named(published), _place(published):
        # Another process may have brought it meanwhile, or even a newer one.
        newest = lake_snapshots.find_published(lake).version
        if lake_snapshots.read_version(published) != newest:
            _put_in_place(lambda temporary: lake_snapshots.copy_snapshot(lake, newest, temporary), published, None)


@contextmanager
def _place(published: Path) -> Iterator[None]:
    """Within the block no other process writes this file; what killed ones have left of it is gone."""
    published.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(published.parent.with_name(f".{published.parent.name}.lock"), WAIT_SECONDS):
        for left in published.parent.glob(f".{published.name}.publishing*"):
            left.unlink(missing_ok=True)
        yield


def _put_in_place(write: Callable[[Path], None], published: Path, now: datetime | None) -> None:
    """Let `write` make the file beside `published`, and put it there once it is whole and of the moment `now`."""
    temporary = published.with_name(f".{published.name}.publishing")
    try:
        write(temporary)
        _sync(temporary)
        _look_at(temporary, now)
        os.replace(temporary, published)
        _sync(published.parent)
    except BaseException:
        _discard(temporary)
        raise


@contextmanager
def _failure_named(published: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        raise PublishError(
            f"{error}".strip(),
            where=str(published),
            cure="is the disk full, or may nobody write there? readers keep the snapshot published before",
        ) from error


def _copy_state(wh: Warehouse, state: HasExport, now: datetime) -> None:
    """Replace ops.<table> by the state store's tables, in one transaction."""
    tables = state.export()
    con = wh.con

    def copy() -> None:
        for name, table in tables.items():
            con.register("_state", table)
            con.execute(render("publish/copy_state.sql", table=name))
            con.unregister("_state")
        con.execute(render("publish/stamp.sql"), [now])
        con.execute("COMMENT ON TABLE ops.publication IS 'When this snapshot was published.'")
        if wh.lake is not None:
            lake_snapshots.mark_published(con)

    wh.commit(copy, "models")


def _checkpoint(con: duckdb.DuckDBPyConnection) -> Path:
    """Write everything into the database file itself; returns the file."""
    con.execute("CHECKPOINT")
    row = con.execute("SELECT path FROM duckdb_databases() WHERE database_name = current_database()").fetchone()
    if row is None or row[0] is None:
        raise PublishError("the warehouse is in memory: there is no file to publish")
    return Path(row[0])


def _look_at(path: Path, now: datetime | None) -> None:
    """Open the copy as a reader will. Raises PublishError when it is not what was just written."""
    with duckdb.connect(str(path), read_only=True) as con:
        row = con.execute("SELECT epoch_us(published_at) FROM ops.publication").fetchone()
    if row is None or (now is not None and row[0] != round(now.timestamp() * 1_000_000)):
        raise PublishError("the copy is not of this moment", where=str(path))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _discard(path: Path) -> None:
    """Remove what a failed publication has written; the failure itself is what must be told."""
    with suppress(OSError):
        for stale in (path, path.with_name(path.name + ".wal")):
            stale.unlink(missing_ok=True)
