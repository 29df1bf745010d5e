"""`trendbreak backup` and `restore`: the warehouse, the state store and landing's index, all of one moment.

A backup is taken under the writer's lock, so it waits for a run to end and no run begins meanwhile; readers of the
snapshot notice nothing. Every file stands in the manifest with its SHA-256, and restore compares them all before it
touches the home. The state is copied row by row into SQLite, whatever database it lives in.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from flows.errors import FlowError
from flows.keeping.backup_places import MANIFEST, Place, open_place
from flows.run import Home
from flows.settings import Settings
from flows.settings.user_ids import KEY_FILE

LOCK_WAIT_SECONDS = 3600.0
READ_BYTES = 1 << 20
STATE = "state.sqlite"
LANDING_INDEX = "landing-index.json"
BACKUP_VERSION = 1


class BackupError(FlowError):
    """The backup cannot be made, or is not what its manifest says; the home is as it was."""


@dataclass(frozen=True)
class Backup:
    """One backup that is whole. `files`: path within it → SHA-256."""

    place: str
    name: str
    created_at: datetime
    files: dict[str, str]
    size_bytes: int


@dataclass(frozen=True)
class Restored:
    """`missing`: landed deliveries of the backup's time whose payloads are not in this home."""

    name: str
    created_at: datetime
    missing: tuple[str, ...]


def back_up(
    settings: Settings,
    location: str,
    *,
    with_landing: bool = False,
    keep: int | None = None,
    now: datetime | None = None,
    wait_seconds: float = LOCK_WAIT_SECONDS,
) -> Backup:
    """Write a backup below `location`, then remove the oldest until `keep` are left (None: keep all).

    Raises WarehouseLocked when a run does not end within `wait_seconds`, BackupError when there is nothing to back up.
    """
    _refuse_lake(settings)
    now = now or datetime.now(UTC)
    place = open_place(location)
    name = f"{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(2)}"  # names sort in time's order
    files: dict[str, str] = {}
    sizes: dict[str, int] = {}

    def write(folder: Path) -> None:
        _write_files(settings, folder, with_landing=with_landing, wait_seconds=wait_seconds)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                relative = path.relative_to(folder).as_posix()
                files[relative], sizes[relative] = _sha256(path), path.stat().st_size
        manifest = {
            "version": BACKUP_VERSION,
            "created_at": now.isoformat(),
            "trendbreak": version("trendbreak"),
            "files": [{"path": path, "sha256": files[path], "bytes": sizes[path]} for path in files],
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))

    try:
        with tempfile.TemporaryDirectory(prefix="trendbreak-backup-") as scratch:
            place.put(name, write, Path(scratch))
    except OSError as error:
        raise BackupError(f"{location}: {error}") from error
    if keep is not None:
        for old in place.names()[:-keep]:
            place.remove(old)
    return Backup(place.address, name, now, files, sum(sizes.values()))


def _refuse_lake(settings: Settings) -> None:
    if settings.warehouse is None:
        return
    data_path = settings.lake.data_path or str(settings.home / "lake")
    copy = f"aws s3 sync {data_path} s3://…" if data_path.startswith("s3://") else f"cp -a {data_path} …"
    raise BackupError(
        "the warehouse is a DuckLake, which is not in this home — back up in this order: its PostgreSQL database "
        f"(`pg_dump --format=custom --file=lake.dump …` with the address of `warehouse`), then its data (`{copy}`), "
        f"and the landing folder and {KEY_FILE} of {settings.home}; docs/operating.md has the way back"
    )


def _write_files(settings: Settings, folder: Path, *, with_landing: bool, wait_seconds: float) -> None:
    from warehouse.landing import Landing
    from warehouse.state import StateStore
    from warehouse.store import hold_files

    home = Home(settings.home)
    if not (home.root / "warehouse" / "trendbreak.duckdb").exists():
        raise BackupError(f"{home.root}: there is no warehouse to back up — `trendbreak run` makes one")
    state = StateStore(settings.state_url)
    state.create()
    with hold_files(home.root, wait_seconds=wait_seconds) as present:
        (folder / "warehouse").mkdir()
        for name, path in present.items():
            shutil.copyfile(path, folder / "warehouse" / name)
        if (home.root / KEY_FILE).exists():  # without it the users of old and new telemetry would differ
            shutil.copyfile(home.root / KEY_FILE, folder / KEY_FILE)
            (folder / KEY_FILE).chmod(0o600)
        copy = StateStore(f"sqlite:///{folder / STATE}")
        copy.create()
        state.copy_to(copy)
        copy.close()
        landing = Landing(home.landing)
        deliveries = landing.deliveries()
        index = [
            {
                "path": one.path.relative_to(home.landing).as_posix(),
                "source_name": one.source_name,
                "content_hash": one.content_hash,
                "fetched_at": one.fetched_at.isoformat(),
            }
            for one in deliveries
        ]
        (folder / LANDING_INDEX).write_text(json.dumps(index, indent=1))
        if with_landing and deliveries:
            shutil.copytree(home.landing, folder / "landing", ignore=shutil.ignore_patterns("*.partial-*"))
    _leave_wal(folder / STATE)


def _leave_wal(path: Path) -> None:
    """Make it one whole file."""
    import sqlite3

    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


def restore(
    settings: Settings,
    location: str,
    *,
    name: str | None = None,
    force: bool = False,
    wait_seconds: float = 0,
) -> Restored:
    """Put a backup (by default the newest) in the home's place, and publish it.

    Raises BackupError, the home untouched, when no backup is there, when a byte of it differs from its manifest, or
    when the home holds data and `force` is not set. A restore that is killed is made again with `force`.
    """
    _refuse_lake(settings)
    place = open_place(location)
    name, manifest = _find(place, name)
    home = Home(settings.home)
    if not force:
        _refuse_data(settings, home)
    home.root.mkdir(parents=True, exist_ok=True)
    for broken in home.root.glob(".restoring-*"):
        shutil.rmtree(broken, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".restoring-", dir=home.root) as scratch:
        folder = Path(scratch)
        _fetch(place, name, manifest, folder)
        _put_in_place(settings, home, folder, wait_seconds)
        missing = _missing(home, folder)
    return Restored(name, datetime.fromisoformat(manifest["created_at"]), missing)


def _find(place: Place, name: str | None) -> tuple[str, dict[str, Any]]:
    names = place.names()
    if not names:
        raise BackupError(f"{place.address}: no whole backup is there (one that was broken off does not count)")
    if name is not None and name not in names:
        raise BackupError(f"{place.address}: no backup is called {name!r} — there are {', '.join(names)}")
    chosen = name if name is not None else names[-1]
    try:
        manifest = json.loads(place.read_manifest(chosen))
        if manifest["version"] != BACKUP_VERSION:
            raise BackupError(f"{chosen}: version {manifest['version']} of a backup — restore it with a newer program")
        paths = [PurePosixPath(one["path"]) for one in manifest["files"]]
        if any(path.is_absolute() or ".." in path.parts for path in paths):
            raise BackupError(f"{chosen}: its manifest names a file outside the backup")
        datetime.fromisoformat(manifest["created_at"])
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(
            f"{chosen}: its manifest cannot be read: {error!r} — take another backup with --at"
        ) from error
    return chosen, manifest


def _refuse_data(settings: Settings, home: Home) -> None:
    from warehouse.state import StateStore

    state = StateStore(settings.state_url)
    state.create()
    if (home.root / "warehouse" / "trendbreak.duckdb").exists() or home.published.exists() or not state.is_empty():
        raise BackupError(f"{home.root} holds data — restore into another home, or replace it with --force")


def _fetch(place: Place, name: str, manifest: dict[str, Any], folder: Path) -> None:
    """Copy every file here and compare it with the manifest."""
    for one in manifest["files"]:
        target = folder / one["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.get(name, one["path"], target)
        except OSError as error:
            raise BackupError(f"{name}: {one['path']} cannot be read: {error} — take another with --at") from error
        if _sha256(target) != one["sha256"]:
            raise BackupError(f"{name}: {one['path']} is not what was backed up — take another backup with --at")


def _put_in_place(settings: Settings, home: Home, folder: Path, wait_seconds: float) -> None:
    from warehouse.publish import publish
    from warehouse.state import StateStore
    from warehouse.store import hold_files, open_warehouse

    # The copies are brought to this version first: what a newer program made is refused before the home is touched.
    restored_state = StateStore(f"sqlite:///{folder / STATE}")
    restored_state.create()
    restored_state.doubt_unsent()  # what waited at the backup may have been sent since
    with open_warehouse(folder):
        pass
    with hold_files(home.root, wait_seconds=wait_seconds):
        for path in sorted((folder / "warehouse").glob("*.duckdb")):
            target = home.root / "warehouse" / path.name
            target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
            os.replace(path, target)
        if (folder / KEY_FILE).exists():
            shutil.copyfile(folder / KEY_FILE, home.root / KEY_FILE)
            (home.root / KEY_FILE).chmod(0o600)
        state = StateStore(settings.state_url)
        state.create()
        restored_state.copy_to(state)
        restored_state.close()
        _add_landing(folder / "landing", home.landing)
    with open_warehouse(home.root, wait_seconds=wait_seconds) as warehouse:
        publish(warehouse, state, published=home.published, now=datetime.now(UTC))


def _add_landing(source: Path, landing: Path) -> None:
    """Deliveries of the backup that this home does not have; those that it has are left alone."""
    for manifest in sorted(source.glob("*/*/*/manifest.json")):
        target = landing / manifest.parent.relative_to(source)
        if not (target / "manifest.json").exists():
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(manifest.parent, target)


def _missing(home: Home, folder: Path) -> tuple[str, ...]:
    index = json.loads((folder / LANDING_INDEX).read_text())
    return tuple(one["path"] for one in index if not (home.landing / one["path"] / "manifest.json").exists())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
