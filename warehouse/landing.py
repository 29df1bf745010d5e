"""The landing folder: what sources sent, kept as it was sent, so that it can be replayed.

    <root>/<source_name>/<window>/<delivery_id>/manifest.json + payload files

A delivery is complete when its manifest is there: payloads are written and synced in a folder
`….partial-…` beside the final one, the manifest last, then the folder is renamed. What a killed
run leaves behind is a partial folder, which `sweep` removes.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from warehouse.errors import FREE_SPACE, LandingError, has_no_room

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
# Text compresses well and is read once or twice in its life: the fast level costs 10% more disk
# than the default and a fifth of the time.
GZIP_LEVEL = 1
COMPRESSED_SUFFIXES = (".json", ".jsonl", ".csv")
WRITING = ".writing"  # held with flock as long as the partial folder has a living writer
READ_BYTES = 1 << 20
LONGEST_NAME_BYTES = 240  # disks take 255


class WindowLike(Protocol):
    """Half-open range of UTC days."""

    @property
    def start(self) -> date: ...
    @property
    def end(self) -> date: ...


class RefLike(Protocol):
    """What a source says of a delivery before it is fetched."""

    @property
    def source_name(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def window(self) -> WindowLike: ...
    @property
    def replaces(self) -> str: ...
    @property
    def identity(self) -> str | None: ...


class PayloadLike(Protocol):
    """One file of a delivery: a relative name and its bytes."""

    @property
    def name(self) -> str: ...
    @property
    def chunks(self) -> Iterable[bytes]: ...


@dataclass(frozen=True)
class LandedDelivery:
    """One complete delivery on disk. `files`: the payload's own name → where it stands (perhaps `.gz`).

    `content_hash` says what was sent and not what its file was called: for one payload the SHA-256
    of its bytes. `window_end` is exclusive. `sizes`: bytes on disk per landed file.
    """

    source_name: str
    source_type: str
    scope: str
    window_start: date
    window_end: date
    replaces: str
    identity: str | None
    delivery_id: str
    content_hash: str
    fetched_at: datetime
    path: Path
    files: dict[str, Path]
    sizes: dict[str, int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class _Stored:
    name: str
    path: str  # relative to the delivery's folder
    sha256: str  # of the bytes as sent
    stored_bytes: int


class Landing:
    """The landing folder at `root`; made when the first delivery is stored."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def store(
        self, ref: RefLike, payloads: Iterable[PayloadLike], *, source_type: str, fetched_at: datetime
    ) -> LandedDelivery:
        """Write a delivery, or find the one that says the same, byte for byte.

        `payloads` may be a generator that fetches as it goes; when it raises, nothing stays. Raises
        LandingError when the disk is full.
        """
        folder = self._window_folder(ref.source_name, ref.window)
        partial = folder / f"delivery.partial-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            partial.mkdir(parents=True)
            with _held(partial / WRITING):
                return self._store(ref, payloads, folder, partial, source_type, fetched_at)
        except OSError as error:
            if not has_no_room(error):
                raise
            raise LandingError(
                f"the delivery {ref.scope} cannot be kept: {error.strerror or error}",
                where=str(folder),
                cure=FREE_SPACE,
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            pa.default_memory_pool().release_unused()  # what a large fetch took, the build may need

    def _store(
        self,
        ref: RefLike,
        payloads: Iterable[PayloadLike],
        folder: Path,
        partial: Path,
        source_type: str,
        fetched_at: datetime,
    ) -> LandedDelivery:
        stored: list[_Stored] = []
        for payload in payloads:
            if any(one.name == payload.name for one in stored):
                raise LandingError(f"two payloads are called {payload.name!r}", where=f"{ref.source_name}, {ref.scope}")
            stored.append(_write_payload(partial, payload))
        content_hash = _content_hash(stored)
        delivery_id = _delivery_id(ref, stored)
        manifest: dict[str, Any] = {
            "version": MANIFEST_VERSION,
            "source_name": ref.source_name,
            "source_type": source_type,
            "scope": ref.scope,
            "window_start": ref.window.start.isoformat(),
            "window_end": ref.window.end.isoformat(),
            "replaces": ref.replaces,
            "identity": ref.identity,
            "delivery_id": delivery_id,
            "content_hash": content_hash,
            "fetched_at": fetched_at.isoformat(),
            "files": [vars(one) for one in stored],
        }
        final = folder / delivery_id
        standing = self._intact(final)
        if standing is not None:
            # The same bytes again. The manifest takes the newer identity and time, so that the
            # newest delivery of a scope is the one that was fetched last, also after A, B, A.
            if standing.fetched_at < fetched_at or standing.identity != ref.identity:
                _write_manifest(final, manifest)
            return _read_manifest(final)
        _write_manifest(partial, manifest)
        (partial / WRITING).unlink()
        if final.exists():  # damaged: this fetch heals it
            shutil.rmtree(final)
        os.rename(partial, final)
        _sync_folder(folder)
        return _read_manifest(final)

    def deliveries(self, source_name: str | None = None) -> list[LandedDelivery]:
        """Every complete delivery, in the order of fetching. Raises LandingError for a damaged manifest."""
        if not self.root.is_dir():
            return []
        pattern = f"*/*/*/{MANIFEST}"
        found = [
            _read_manifest(manifest.parent)
            for manifest in sorted(self.root.glob(pattern))
            if ".partial-" not in manifest.parent.name
        ]
        if source_name is not None:
            found = [one for one in found if one.source_name == source_name]
        return sorted(found, key=lambda one: (one.fetched_at, one.source_name, one.scope, one.delivery_id))

    def verify(self, delivery: LandedDelivery) -> None:
        """Read every payload and compare it with the manifest's SHA-256. Raises LandingError."""
        manifest = _load_json(delivery.path / MANIFEST)
        for one in manifest["files"]:
            landed = delivery.path / one["path"]
            if not landed.is_file():
                raise LandingError("the landed file is missing", where=str(landed), cure=_REFETCH)
            if _hash_landed(landed, compressed=one["path"] != one["name"]) != one["sha256"]:
                raise LandingError(
                    "the landed bytes are not the ones that were fetched", where=str(landed), cure=_REFETCH
                )

    def remove(self, delivery: LandedDelivery) -> int:
        """Remove a delivery, and its window's folder when it was the last; the bytes that this frees.

        It is gone with one rename: what a kill leaves of it is a partial folder, which `sweep` removes.
        """
        going = delivery.path.with_name(f"delivery.partial-{os.getpid()}-{secrets.token_hex(4)}")
        os.rename(delivery.path, going)
        freed = sum(path.stat().st_size for path in going.rglob("*") if path.is_file())
        shutil.rmtree(going)
        with suppress(OSError):  # another delivery speaks for the same window
            delivery.path.parent.rmdir()
        return freed

    def sweep(self) -> list[Path]:
        """Remove what killed writers left; folders of a living writer stay. Returns what was removed."""
        removed = []
        for partial in sorted(self.root.glob("*/*/*.partial-*")):
            with _held(partial / WRITING, wait=False) as is_ours:
                if is_ours:
                    shutil.rmtree(partial, ignore_errors=True)
                    removed.append(partial)
        return removed

    def _window_folder(self, source_name: str, window: WindowLike) -> Path:
        if not source_name or source_name in (".", "..") or "/" in source_name or "\\" in source_name:
            raise LandingError(f"{source_name!r} cannot be the name of a folder", cure="rename the source")
        return self.root / source_name / f"{window.start.isoformat()}_{window.end.isoformat()}"

    def _intact(self, folder: Path) -> LandedDelivery | None:
        """The delivery in `folder` when its manifest and all its bytes are sound."""
        if not (folder / MANIFEST).is_file():
            return None
        try:
            delivery = _read_manifest(folder)
            self.verify(delivery)
        except LandingError:
            return None
        return delivery


_REFETCH = "remove the delivery's folder and run again: it is fetched anew"


@contextmanager
def _held(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive flock on `path`; yields whether it was got. The kernel frees it with its process."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:  # the folder went away under us: its writer has finished
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)


def _write_payload(folder: Path, payload: PayloadLike) -> _Stored:
    name = PurePosixPath(payload.name)
    if name.is_absolute() or not name.parts or any(part in ("..", ".", "") for part in name.parts):
        raise LandingError(f"a payload's name must be relative and inside its delivery, not {payload.name!r}")
    if name.name in (MANIFEST, WRITING) and len(name.parts) == 1:
        raise LandingError(f"a payload cannot be called {payload.name!r}")
    compress = name.suffix in COMPRESSED_SUFFIXES
    relative = "/".join(map(_short, name.parts)) + (".gz" if compress else "")
    target = folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as handle:
        for chunk in payload.chunks if not compress else ():
            digest.update(chunk)
            handle.write(chunk)
        if compress:
            # No file name and no time in the header: the same payload gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=handle, compresslevel=GZIP_LEVEL, mtime=0) as packed:
                for chunk in payload.chunks:
                    digest.update(chunk)
                    packed.write(chunk)
        _sync(handle)
    _sync_folder(target.parent)
    return _Stored(str(name), relative, digest.hexdigest(), target.stat().st_size)


def _short(part: str) -> str:
    """A part of a path that a disk takes, `.gz` behind it too; of a longer one its ends, and a hash of the whole."""
    if len(part.encode()) <= LONGEST_NAME_BYTES:
        return part
    start, digest = part.encode()[:100].decode(errors="ignore"), hashlib.sha256(part.encode()).hexdigest()[:16]
    return f"{start}-{digest}-{part[-20:]}"


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    temporary = folder / f"{MANIFEST}.new"
    with temporary.open("wb") as handle:
        handle.write(json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        _sync(handle)
    os.replace(temporary, folder / MANIFEST)
    _sync_folder(folder)


def _read_manifest(folder: Path) -> LandedDelivery:
    manifest = _load_json(folder / MANIFEST)
    where = str(folder / MANIFEST)
    try:
        delivery = LandedDelivery(
            source_name=manifest["source_name"],
            source_type=manifest["source_type"],
            scope=manifest["scope"],
            window_start=date.fromisoformat(manifest["window_start"]),
            window_end=date.fromisoformat(manifest["window_end"]),
            replaces=manifest["replaces"],
            identity=manifest["identity"],
            delivery_id=manifest["delivery_id"],
            content_hash=manifest["content_hash"],
            fetched_at=datetime.fromisoformat(manifest["fetched_at"]),
            path=folder,
            files={one["name"]: folder / one["path"] for one in manifest["files"]},
            sizes={one["name"]: int(one["stored_bytes"]) for one in manifest["files"]},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LandingError(f"the manifest cannot be read: {error!r}", where=where, cure=_REFETCH) from error
    if delivery.delivery_id != folder.name:
        raise LandingError("the manifest belongs to another delivery", where=where, cure=_REFETCH)
    return delivery


def _load_json(path: Path) -> Any:
    try:
        loaded = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise LandingError("the manifest is missing", where=str(path), cure=_REFETCH) from None
    except ValueError as error:
        raise LandingError(f"the manifest is not JSON: {error}", where=str(path), cure=_REFETCH) from error
    if not isinstance(loaded, dict) or loaded.get("version") != MANIFEST_VERSION:
        raise LandingError("the manifest is of an unknown version", where=str(path), cure=_REFETCH)
    return loaded


def _hash_landed(path: Path, *, compressed: bool) -> str:
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as handle:
            while chunk := handle.read(READ_BYTES):
                digest.update(chunk)
    except (OSError, EOFError) as error:
        raise LandingError(f"the landed file cannot be read: {error}", where=str(path), cure=_REFETCH) from error
    return digest.hexdigest()


def _content_hash(stored: list[_Stored]) -> str:
    if len(stored) == 1:
        return stored[0].sha256
    digest = hashlib.sha256()
    for one in sorted(stored, key=lambda one: one.name):
        digest.update(f"{one.name}\0{one.sha256}\n".encode())
    return digest.hexdigest()


def _delivery_id(ref: RefLike, stored: list[_Stored]) -> str:
    parts = [ref.source_name, ref.scope, ref.window.start.isoformat(), ref.window.end.isoformat()]
    parts += [f"{one.name}\0{one.sha256}" for one in sorted(stored, key=lambda one: one.name)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _sync(handle: BinaryIO | gzip.GzipFile | Any) -> None:
    handle.flush()
    os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
