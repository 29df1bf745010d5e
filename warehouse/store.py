"""The writer's warehouse: one process at a time, one DuckDB file, one attached file for staging.

With a DuckLake in its place (warehouse.lake) several processes write at once; the SQL is the same.

<home>/warehouse/trendbreak.duckdb   core, marts, focus, ops
<home>/warehouse/staging.duckdb      catalog `staging`: telemetry call by call; never published
<home>/warehouse/.lock               held with flock; its text says who holds it
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import duckdb

from warehouse.errors import StoreError, WarehouseLocked, has_no_room, place_cure
from warehouse.lake import CLOSED, TURN_SECONDS, Lake, Turns, conflicts_named, open_lake, retry_conflicts
from warehouse.statements import render

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent / "migrations"
# A load of ten million rows stays under 1 GB in all: the process itself needs about 150 MB, and
# what exceeds the limit spills to `<home>/warehouse/spill`.
MEMORY_LIMIT = "640MB"
POLL_SECONDS = 0.1
WAREHOUSE_FILE, STAGING_FILE = FILES = ("trendbreak.duckdb", "staging.duckdb")

# New files have the format of DuckDB 1.4, which packs repeated texts in half the time; older files keep theirs.
STORAGE_VERSION = "v1.4.0"

Writes = Literal["deliveries", "models"]


@dataclass(frozen=True)
class Warehouse:
    """An open warehouse. `con` may write to core, marts, focus and ops, and to `staging.*`.

    One transaction writes to one file: either to the warehouse or to staging. `lake` and `turns` are there when it
    is a DuckLake, whose staging is a schema of its own.
    """

    con: duckdb.DuckDBPyConnection
    home: Path
    lake: Lake | None = None
    turns: Turns | None = None
    is_one: bool = False

    @contextmanager
    def as_one(self) -> Iterator[Warehouse]:
        """Within the block: the same warehouse, whose commits are parts of one transaction that ends with the block.

        Raises WriteConflict where another's commit came first; the whole block is then to be made again.
        """
        with self.turn("deliveries"), self._transaction("deliveries", "models"):
            yield replace(self, is_one=True)

    def commit(self, work: Callable[[], T], writes: Writes = "deliveries") -> T:
        """The result of `work`, which is committed whole, or not at all when it raises. The only way to write.

        `writes`: the tables that loads write, or those that a build makes of them. Of processes that share a lake only
        one at a time writes to either. Where another came first all the same, `work` is done again a few times, on
        what the tables say then; raises WriteConflict when each attempt met another.
        """

        def attempt() -> T:
            with self._transaction(writes):
                return work()

        return attempt() if self.turns is None or self.is_one else retry_conflicts(attempt)

    @contextmanager
    def _transaction(self, *writes: Writes) -> Iterator[None]:
        if self.is_one:
            yield
            return
        with self.turn(writes[-1]), conflicts_named() if self.turns is not None else nullcontext():
            self.con.execute("BEGIN TRANSACTION")
            try:
                if self.turns is not None:
                    for tables in writes:
                        self.con.execute(render("lake/take_turn.sql", writes=tables))
                yield
                if self.turns is not None:
                    self.turns.check()
                self.con.execute("COMMIT")
            except BaseException:
                roll_back(self.con)
                raise

    @contextmanager
    def turn(self, name: str, wait_seconds: float = TURN_SECONDS) -> Iterator[None]:
        """Within the block no other process does what is called `name`: nothing to wait for in a file, which is held.

        Raises WarehouseLocked, naming the holder.
        """
        if self.turns is None:
            yield
            return
        with self.turns.hold(name, wait_seconds):
            yield


def roll_back(con: duckdb.DuckDBPyConnection) -> None:
    """Undo the open transaction, if one is open."""
    # An error while committing, or the loss of a lake's catalogue, has already ended the transaction: nothing is left
    # to undo, and what happened first is what must be told.
    with suppress(duckdb.Error):
        con.execute("ROLLBACK")


@contextmanager
def open_warehouse(
    home: Path,
    *,
    wait_seconds: float = 0,
    memory_limit: str = MEMORY_LIMIT,
    threads: int | None = None,
    lake: Lake | None = None,
) -> Iterator[Warehouse]:
    """Take the writer's lock, open the files, bring them to this version; or attach the lake, which takes no lock.

    Raises WarehouseLocked, naming the holder, when the lock is not free within `wait_seconds`; StoreError
    when the disk is full, also from within the block.
    """
    folder = Path(home) / "warehouse"
    if lake is not None:
        turns = Turns(lake)
        config = _config(memory_limit, threads)
        try:
            with _room_named(folder), open_lake(lake, folder, turns, config=config, bring_up=_make_lake) as con:
                yield Warehouse(con, Path(home), lake, turns)
        finally:
            turns.close()
        return
    with _room_named(folder), hold_lock(folder / ".lock", wait_seconds):
        con = _connect(folder, memory_limit, threads)
        try:
            _migrate(con)
            yield Warehouse(con, Path(home))
        finally:
            con.close()


def _make_lake(con: duckdb.DuckDBPyConnection) -> None:
    """Bring the lake to this version in one transaction: each commit costs a lake more than what it commits."""
    with conflicts_named():
        con.execute("BEGIN TRANSACTION")
        try:
            _apply_migrations(con, _due_migrations(con))
            con.execute("CREATE SCHEMA IF NOT EXISTS staging")
            con.execute(render("store/staging_tables.sql"))
            con.execute(render("lake/turn_tables.sql"))
            con.execute("COMMIT")
        except BaseException:
            roll_back(con)
            raise


@contextmanager
def hold_files(home: Path, *, wait_seconds: float = 0) -> Iterator[dict[str, Path]]:
    """Hold the writer's lock with the files closed and whole, so that they can be copied or replaced.

    Yields file name → path of the files that there are; none has a write-ahead log beside it. Raises WarehouseLocked.
    """
    folder = Path(home) / "warehouse"
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / ".lock", wait_seconds):
        present = {name: folder / name for name in FILES if (folder / name).exists()}
        if present:
            con = _connect(folder, MEMORY_LIMIT, None)
            try:
                con.execute("CHECKPOINT")
                con.execute("CHECKPOINT staging")
            finally:
                con.close()
            present = {name: folder / name for name in FILES}
        yield present


def newest_migration() -> int:
    """The version that this program brings a warehouse to."""
    return max(int(path.name[:4]) for path in MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))


@contextmanager
def hold_warehouse(home: Path, *, wait_seconds: float = 0) -> Iterator[None]:
    """Take the writer's lock without opening the files, which may be damaged. Raises WarehouseLocked."""
    folder = Path(home) / "warehouse"
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / ".lock", wait_seconds):
        yield


def empty_lake(wh: Warehouse) -> None:
    """Take every row out of a lake's tables, to be loaded again; which migrations made them is kept."""

    def empty() -> None:
        for schema, table in wh.con.execute(render("lake/filled.sql")).fetchall():
            wh.con.execute(render("lake/empty.sql", schema=schema, table=table))

    wh.commit(empty)


def replace_warehouse(new: Path, home: Path) -> None:
    """Put the warehouse of home `new` in the place of `home`'s, whose lock the caller holds.

    Between the two renames telemetry is of the old warehouse: a kill there is mended by rebuilding again.
    """
    for name in (STAGING_FILE, WAREHOUSE_FILE):
        target = Path(home) / "warehouse" / name
        target.with_name(f"{name}.wal").unlink(missing_ok=True)
        os.replace(Path(new) / "warehouse" / name, target)


def _config(memory_limit: str, threads: int | None) -> dict[str, Any]:
    config = CLOSED | {"memory_limit": memory_limit}
    return config if threads is None else config | {"threads": threads}


def _connect(folder: Path, memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    config = _config(memory_limit, threads)
    config |= {"temp_directory": str(folder / "spill"), "storage_compatibility_version": STORAGE_VERSION}
    shutil.rmtree(folder / "spill", ignore_errors=True)  # what a killed run left there
    path = folder / WAREHOUSE_FILE
    try:
        con = duckdb.connect(str(path), config=config)
    except duckdb.Error as error:
        if has_no_room(error):
            raise
        raise StoreError(
            f"DuckDB cannot open it: {error}",
            where=str(path),
            cure="`trendbreak rebuild` makes it anew from landing",
        ) from error
    try:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(render("store/attach_staging.sql", path=str(folder / STAGING_FILE)))
        con.execute(render("store/staging_tables.sql"))
    except duckdb.Error as error:
        con.close()
        if has_no_room(error):
            raise
        raise StoreError(
            f"DuckDB cannot attach it: {error}",
            where=str(folder / STAGING_FILE),
            cure="remove this file: telemetry is loaded anew from landing",
        ) from error
    return con


def _migrate(con: duckdb.DuckDBPyConnection) -> None:
    """Apply the numbered migrations that this file has not seen, each in its own transaction."""
    for path in _due_migrations(con):
        con.execute("BEGIN TRANSACTION")
        try:
            _apply_migrations(con, [path])
            con.execute("COMMIT")
        except duckdb.Error as error:
            if has_no_room(error):
                raise
            roll_back(con)
            raise StoreError(f"it does not run: {error}", where=path.name) from error


def _due_migrations(con: duckdb.DuckDBPyConnection) -> list[Path]:
    """In their order. Raises StoreError for a warehouse of a newer program, or made by other migrations."""
    con.execute(render("store/migrations_table.sql"))
    applied = {row[0]: row[1:] for row in con.execute("SELECT version, name, sha256 FROM ops.migrations").fetchall()}
    known = sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    newest = max(applied, default=0)
    if newest > int(known[-1].name[:4]):
        raise StoreError(
            f"the warehouse is at version {newest}, this program knows {known[-1].name[:4]}",
            cure="run the newer program, or rebuild from landing with this one",
        )
    due = []
    for path in known:
        version = int(path.name[:4])
        if version not in applied:
            due.append(path)
        elif applied[version][1] != _digest(path):
            raise StoreError(
                f"migration {path.name} is not the one that made this warehouse",
                cure="migrations are append-only: add a new one; or rebuild from landing",
            )
    return due


def _apply_migrations(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> None:
    """Within a transaction: run them, and note them in one statement, of which a lake makes one file."""
    for path in paths:
        con.execute(path.read_text(encoding="utf-8"))
    if paths:
        con.execute(
            "INSERT INTO ops.migrations SELECT unnest(?), unnest(?), unnest(?)",
            [[int(path.name[:4]) for path in paths], [path.stem for path in paths], [_digest(path) for path in paths]],
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _room_named(folder: Path) -> Iterator[None]:
    """Make the folder; an error that says that the disk takes no more becomes a StoreError with the place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (duckdb.Error, OSError) as error:
        if not has_no_room(error):
            raise
        where = getattr(error, "filename", None) or folder
        raise StoreError(
            f"it cannot be written: {str(error).splitlines()[0]}", where=str(where), cure=place_cure(error)
        ) from error


@contextmanager
def hold_lock(path: Path, wait_seconds: float, *, taken: str = "another run is writing to it") -> Iterator[None]:
    """Hold a lock file. The kernel frees it with its process, so a killed run leaves none behind.

    Raises WarehouseLocked, which says what is `taken` and by whom.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise WarehouseLocked(
                        f"{taken}: {_holder(path)}",
                        where=str(path.parent),
                        cure="wait for it to end, or stop it; a crashed run holds no lock",
                    ) from None
                time.sleep(POLL_SECONDS)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()}\nhost {socket.gethostname()}\n".encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _holder(path: Path) -> str:
    """Who holds the lock, as its own text says; since when, by the time of that text."""
    found = dict(re.findall(r"^(pid|host) (.+)$", path.read_text(errors="replace"), re.MULTILINE))
    started_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return f"pid {found.get('pid', '?')} on {found.get('host', '?')}, since {started_at:%Y-%m-%d %H:%M:%S} UTC"
