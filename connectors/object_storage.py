"""Files at a location, a folder or s3://bucket/prefix, behind one interface.

    Location (options) ── open() ──▶ Storage
        files(folder)      what is there, each with a version that changes when its bytes do
        folders(folder)    the folders directly below
        chunks(file)       its bytes, streamed; IncompleteDelivery when they change underneath
        local_path(file)   where it stands on this machine, if it does

What can pass is tried again a bounded number of times: requests by botocore, a body that breaks off
by resuming where it stopped. Errors name the address, and the permission or setting that is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pydantic import field_validator

from connectors.aws_errors import AGAIN, LATER, Access, explain_aws_error
from connectors.aws_sessions import AwsOptions, open_client
from connectors.errors import (
    ConfigError,
    ConnectorError,
    IncompleteDelivery,
    PermissionDenied,
    TransientError,
)
from connectors.http_api import RetryPolicy

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CHUNK_BYTES = 1 << 20
# A manifest is a list of names; far above any real one, far below what would hurt.
LARGEST_SMALL_FILE_BYTES = 64 << 20


@dataclass(frozen=True)
class StoredFile:
    """One file. `name` is relative to the storage's root, with '/'; `address` is for people.

    `version` changes whenever the bytes do: the ETag on S3, the modification time in a folder.
    """

    name: str
    address: str
    size: int
    version: str
    modified: datetime  # UTC
    arrived: datetime  # UTC; later than `modified` where a copy kept the original's time


class Storage(Protocol):
    """A root below which files are found by name ('' is the root itself)."""

    address: str

    def files(self, folder: str = "", *, recursive: bool = True) -> Iterator[StoredFile]: ...
    def folders(self, folder: str = "") -> list[str]: ...
    def chunks(self, file: StoredFile) -> Iterator[bytes]: ...
    def place(self, name: str) -> str: ...
    def local_path(self, file: StoredFile) -> Path | None: ...


GOOGLE_STORAGE = "https://storage.googleapis.com"  # speaks S3 to the holder of an HMAC key


class LocationOptions(AwsOptions):
    """Where a source's files lie: the keys that every file-based source accepts.

    `location`: a folder or one file (relative paths: to the configuration file), s3://bucket/prefix, or
    gs://bucket/prefix, which is read through Cloud Storage's own S3 interface with an HMAC key.
    The other keys say how a bucket is reached.
    """

    location: str

    @field_validator("location", mode="before")
    @classmethod
    def _path_as_text(cls, location: object) -> object:
        return str(location) if isinstance(location, Path) else location

    @field_validator("location")
    @classmethod
    def _known_scheme(cls, location: str) -> str:
        location = location.strip()
        scheme, separator, rest = location.partition("://")
        if not location:
            raise ValueError("is empty: give a folder or s3://bucket/prefix")
        if not separator:
            return location
        scheme = scheme.lower()
        if scheme in ("az", "abfs", "abfss", "wasb", "wasbs"):
            raise ValueError(
                f"{scheme}:// is not read directly: mount the container and give its folder "
                "(blobfuse2 mount /mnt/exports), or copy it (azcopy sync <container> <folder>)"
            )
        if scheme not in ("s3", "gs"):
            raise ValueError(f"{scheme}:// is not read directly: copy the files to a folder or to s3://bucket/prefix")
        bucket, _, prefix = rest.partition("/")
        if not bucket:
            raise ValueError(f"names no bucket: write {scheme}://bucket/prefix")
        return f"{scheme}://{bucket}/{prefix}" if prefix else f"{scheme}://{bucket}"

    @property
    def is_bucket(self) -> bool:
        return self.location.startswith(("s3://", "gs://"))

    @property
    def is_google(self) -> bool:
        return self.location.startswith("gs://")

    def open(self, retry: RetryPolicy | None = None) -> Storage:
        """The storage behind the location. Raises ConfigError when a local location does not exist."""
        if not self.is_bucket:
            return Folder(Path(self.location).expanduser())
        bucket, _, prefix = self.location[5:].partition("/")
        return Bucket(bucket, prefix, options=self, retry=retry or RetryPolicy())


class ExportOptions(LocationOptions):
    """Files that hold bills. `tag_keys`: of their tags only these are kept, by their plain names; default: all."""

    tag_keys: tuple[str, ...] | None = None


class Folder:
    """A folder, or one file, on this machine (a mounted share too)."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._root, self._only = path, ""
        if path.is_file():
            self._root, self._only = path.parent, path.name
        elif not path.is_dir():
            raise ConfigError(
                "there is no such folder or file",
                where=str(path),
                cure="create it, or correct location (a relative one starts at the configuration file)",
            )

    def place(self, name: str) -> str:
        return str(self._root / name)

    def local_path(self, file: StoredFile) -> Path | None:
        return self._root / file.name

    def files(self, folder: str = "", *, recursive: bool = True) -> Iterator[StoredFile]:
        if self._only:
            yield self._stored(self._root / self._only, self._only)
            return
        for name, entry in self._entries(folder):
            if entry.is_file():
                try:
                    yield self._stored(Path(entry.path), name)
                except IncompleteDelivery:
                    continue  # it vanished between listing and looking, or it is a link to nothing
            elif recursive and entry.is_dir(follow_symlinks=False):
                yield from self.files(name)

    def folders(self, folder: str = "") -> list[str]:
        return [] if self._only else [name for name, entry in self._entries(folder) if entry.is_dir()]

    def chunks(self, file: StoredFile) -> Iterator[bytes]:
        path = self._root / file.name
        with _local_errors(path):
            stream = path.open("rb")
        with stream:
            if _local_version(os.fstat(stream.fileno())) != file.version:
                _changed(file.address)
            while True:
                with _local_errors(path):
                    chunk = stream.read(CHUNK_BYTES)
                if not chunk:
                    break
                yield chunk
            if _local_version(os.fstat(stream.fileno())) != file.version:
                _changed(file.address)

    def _entries(self, folder: str) -> list[tuple[str, os.DirEntry[str]]]:
        path = self._root / folder
        if not path.is_dir():
            return []
        with _local_errors(path), os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        return [(f"{folder}/{entry.name}" if folder else entry.name, entry) for entry in found]

    def _stored(self, path: Path, name: str) -> StoredFile:
        with _local_errors(path):
            facts = path.stat()
        return StoredFile(
            name=name,
            address=str(path),
            size=facts.st_size,
            version=_local_version(facts),
            modified=datetime.fromtimestamp(facts.st_mtime, UTC),
            arrived=datetime.fromtimestamp(facts.st_ctime, UTC),
        )


@contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's errors into the connectors' own."""
    where = str(path)
    try:
        yield
    except FileNotFoundError:
        raise IncompleteDelivery("the file is gone", where=where, cure=LATER) from None
    except PermissionError:
        raise PermissionDenied(
            "may not read this file or folder", where=where, cure="give the user of this process the right to read it"
        ) from None
    except OSError as error:
        raise TransientError(
            f"cannot read ({error.strerror or type(error).__name__})",
            where=where,
            cure=f"{AGAIN}; if it stays, check the disk or the network share",
        ) from None


def _local_version(facts: os.stat_result) -> str:
    return f"{facts.st_mtime_ns}-{facts.st_size}"


def _changed(address: str) -> NoReturn:
    raise IncompleteDelivery("the file changed while it was being read", where=address, cure=LATER)


class Bucket:
    """Objects below s3://bucket/prefix or gs://bucket/prefix: on AWS, Google, or any server that speaks S3."""

    def __init__(self, bucket: str, prefix: str, *, options: LocationOptions, retry: RetryPolicy) -> None:
        self._bucket = bucket
        # A prefix is a folder: 'bills' must not find 'bills-old/…'. One leading '/' is a legal key.
        self._prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        if options.is_google and options.endpoint_url is None:
            options = options.model_copy(update={"endpoint_url": GOOGLE_STORAGE})
        self._options, self._retry = options, retry
        self._connected: S3Client | None = None
        self._root = f"{'gs' if options.is_google else 's3'}://{bucket}/"
        self.address = f"{self._root}{self._prefix}".rstrip("/")

    def place(self, name: str) -> str:
        return f"{self._root}{self._prefix}{name}"

    def local_path(self, file: StoredFile) -> Path | None:
        return None

    def files(self, folder: str = "", *, recursive: bool = True) -> Iterator[StoredFile]:
        start = self._prefix + (f"{folder}/" if folder else "")
        found = False
        for page in self._pages(start, recursive=recursive):
            for item in page.get("Contents", ()):
                found = True
                if not item["Key"].endswith("/"):  # consoles create folders as empty objects
                    yield self._stored(item, item["Key"].removeprefix(self._prefix))
            found = found or bool(page.get("CommonPrefixes"))
        if not found and not folder and self._prefix:
            # The location may be one object rather than a folder.
            key = self._prefix.rstrip("/")
            for page in self._pages(key, recursive=False):
                for item in page.get("Contents", ()):
                    if item["Key"] == key:
                        yield self._stored(item, key.rpartition("/")[2])
                        return

    def folders(self, folder: str = "") -> list[str]:
        start = self._prefix + (f"{folder}/" if folder else "")
        found = [
            item["Prefix"].removeprefix(self._prefix).rstrip("/")
            for page in self._pages(start, recursive=False)
            for item in page.get("CommonPrefixes", ())
        ]
        return sorted(name for name in found if name)

    def chunks(self, file: StoredFile) -> Iterator[bytes]:
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

        offset = 0
        body: Any = None

        def next_chunk() -> bytes:
            nonlocal body
            try:
                if body is None:
                    body = self._body(file, offset)
                chunk: bytes = body.read(CHUNK_BYTES)
            except Exception as error:
                body = None  # what was read stands; the next attempt asks for the rest
                raise self._explained(error, "s3:GetObject", file.address) from None
            return chunk

        first = self._retry.first_wait_seconds
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self._retry.attempts),
            wait=wait_exponential(multiplier=first, max=self._retry.longest_wait_seconds) + wait_random(0, first),
            reraise=True,
        )
        try:
            while chunk := retrying(next_chunk):
                offset += len(chunk)
                yield chunk
        finally:
            if body is not None:
                body.close()
        if offset != file.size:
            _changed(file.address)

    def _key(self, file: StoredFile) -> str:
        return file.address.removeprefix(self._root)

    def _body(self, file: StoredFile, offset: int) -> Any:
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(file), "IfMatch": f'"{file.version}"'}
        if offset:
            wanted["Range"] = f"bytes={offset}-"
        answer = self._client().get_object(**wanted)
        if answer.get("ETag", file.version).strip('"') != file.version:  # a server that ignores If-Match
            _changed(file.address)
        return answer["Body"]

    def _pages(self, prefix: str, *, recursive: bool) -> Iterator[Any]:
        wanted = {"Bucket": self._bucket, "Prefix": prefix} | ({} if recursive else {"Delimiter": "/"})
        try:
            yield from self._client().get_paginator("list_objects_v2").paginate(**wanted)  # type: ignore[arg-type]
        except Exception as error:
            raise self._explained(error, "s3:ListBucket", f"{self._root}{prefix}") from None

    def _stored(self, item: Any, name: str) -> StoredFile:
        return StoredFile(
            name=name,
            address=f"{self._root}{item['Key']}",
            size=item["Size"],
            version=item["ETag"].strip('"'),  # some servers quote it in answers only
            modified=item["LastModified"].astimezone(UTC),
            arrived=item["LastModified"].astimezone(UTC),
        )

    def _client(self) -> S3Client:
        if self._connected is None:
            try:
                self._connected = self._connect()
            except Exception as error:
                raise self._explained(error, "sts:AssumeRole", self.address) from None
        return self._connected

    def _connect(self) -> S3Client:
        client: S3Client = open_client("s3", self._options, self._retry, attempts=self._retry.attempts)
        return client

    def _explained(self, error: Exception, permission: str, where: str) -> ConnectorError:
        given = self._options
        access = Access(self._bucket, given.endpoint_url, given.role_arn, given.external_id)
        return explain_aws_error(error, permission=permission, where=where, access=access)


def read_small(storage: Storage, file: StoredFile) -> bytes:
    """A small file, whole. Raises ConfigError when it is not small."""
    if file.size > LARGEST_SMALL_FILE_BYTES:
        raise ConfigError(f"{file.size} bytes are too many for a manifest", where=file.address, cure="check location")
    return b"".join(storage.chunks(file))
