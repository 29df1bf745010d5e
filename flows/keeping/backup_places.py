"""Where backups lie: a folder, or s3://bucket/prefix. A backup is there when its manifest is, which is written last.

<place>/<backup name>/manifest.json, warehouse/…, state.sqlite, landing-index.json, landing/…
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from flows.errors import FlowError

MANIFEST = "manifest.json"
PARTIAL = ".partial-"


class Place(Protocol):
    """A place that holds backups by name."""

    address: str

    def names(self) -> list[str]: ...
    def put(self, name: str, write: Callable[[Path], None], scratch: Path) -> None: ...
    def get(self, name: str, path: str, target: Path) -> None: ...
    def read_manifest(self, name: str) -> bytes: ...
    def remove(self, name: str) -> None: ...


def open_place(location: str) -> Place:
    """A folder, or a bucket with AWS's usual credentials (AWS_ENDPOINT_URL_S3 names another S3)."""
    if location.startswith("s3://"):
        return BucketPlace(location)
    if "://" in location:
        raise FlowError(f"{location}: backups go to a folder or to s3://bucket/prefix")
    return FolderPlace(Path(location))


class FolderPlace:
    """A backup is written beside its final name and renamed when it is whole and on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    def names(self) -> list[str]:
        if (self.root / MANIFEST).is_file():
            return [""]
        return sorted(path.parent.name for path in self.root.glob(f"*/{MANIFEST}") if PARTIAL not in path.parent.name)

    def put(self, name: str, write: Callable[[Path], None], scratch: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self._sweep()
        writing = self.root / f"{PARTIAL}{name}-{os.getpid()}"
        writing.mkdir()
        held = os.open(writing, os.O_RDONLY)  # held as long as its writer lives
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            write(writing)
            for path in [*writing.rglob("*"), writing]:
                _sync(path)
            os.rename(writing, self.root / name)
            _sync(self.root)
        except BaseException:
            shutil.rmtree(writing, ignore_errors=True)
            raise
        finally:
            os.close(held)

    def _sweep(self) -> None:
        """Remove what killed backups left; another that is being written is left alone."""
        for broken in self.root.glob(f"{PARTIAL}*"):
            held = os.open(broken, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(broken, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(held)

    def get(self, name: str, path: str, target: Path) -> None:
        shutil.copyfile(self.root / name / path, target)

    def read_manifest(self, name: str) -> bytes:
        return (self.root / name / MANIFEST).read_bytes()

    def remove(self, name: str) -> None:
        going = self.root / f"{PARTIAL}{name}-{os.getpid()}"
        os.rename(self.root / name, going)
        shutil.rmtree(going)


class BucketPlace:
    """Objects below a prefix; the manifest goes up last and is taken down first."""

    def __init__(self, location: str) -> None:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        if not bucket:
            raise FlowError(f"{location}: a bucket is missing — write s3://bucket/prefix")
        self.address = location
        self._bucket, self._prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: Any = None

    def _ask(self, call: Callable[[Any], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        if self._client is None:
            import boto3

            self._client = boto3.client("s3")
        try:
            return call(self._client)
        except (BotoCoreError, ClientError) as error:
            raise FlowError(
                f"{self.address}: {error} — a backup needs s3:ListBucket, GetObject, PutObject and DeleteObject there"
            ) from None

    def _keys(self, prefix: str) -> list[str]:
        pages = self._ask(
            lambda client: list(
                client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            )
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def names(self) -> list[str]:
        ends = [key.removeprefix(self._prefix) for key in self._keys("") if key.endswith(f"/{MANIFEST}")]
        return sorted(end.split("/")[0] for end in ends if end.count("/") == 1)

    def put(self, name: str, write: Callable[[Path], None], scratch: Path) -> None:
        write(scratch)
        files = sorted(path for path in scratch.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path.name == MANIFEST):
            key = f"{self._prefix}{name}/{path.relative_to(scratch)}"
            self._ask(partial(_upload, path=path, bucket=self._bucket, key=key))

    def get(self, name: str, path: str, target: Path) -> None:
        self._ask(lambda client: client.download_file(self._bucket, f"{self._prefix}{name}/{path}", str(target)))

    def read_manifest(self, name: str) -> bytes:
        key = f"{self._prefix}{name}/{MANIFEST}"
        body: bytes = self._ask(lambda client: client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        return body

    def remove(self, name: str) -> None:
        for key in sorted(self._keys(f"{name}/"), key=lambda key: not key.endswith(MANIFEST)):
            self._ask(partial(_delete, bucket=self._bucket, key=key))


def _upload(client: Any, *, path: Path, bucket: str, key: str) -> None:
    client.upload_file(str(path), bucket, key)


def _delete(client: Any, *, bucket: str, key: str) -> None:
    client.delete_object(Bucket=bucket, Key=key)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
