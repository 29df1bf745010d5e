"""Finds the invocation logs of the days of a window: <account>/BedrockModelInvocationLogs/<region>/<Y>/<M>/<D>/<H>/."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

from connectors.base import DeliveryRef, Window
from connectors.calls.log_files import Records, read_records
from connectors.calls.options import TelemetryFileOptions
from connectors.calls.projection import Projection
from connectors.object_storage import Storage, StoredFile

DEEPEST = 7  # AWSLogs/<account>/BedrockModelInvocationLogs/<region>, below a prefix of the person's own
_YEAR = re.compile(r"20\d\d")


def day_refs(options: TelemetryFileOptions, window: Window, *, source_name: str, version: int) -> Iterator[DeliveryRef]:
    """One ref per folder of days and day that holds a log. `scope` is the day's folder."""
    storage = options.open()
    for base in find_bases(storage):
        for day in window.days():
            folder = f"{base}/{day:%Y/%m/%d}".lstrip("/")
            files = tuple(sorted(log_files(storage, folder), key=lambda file: file.name))
            if not files:
                continue
            said = "\n".join(f"{file.name} {file.size} {file.version}" for file in files)
            digest = hashlib.sha256(said.encode()).hexdigest()[:24]
            yield DeliveryRef(
                source_name=source_name,
                scope=folder,
                window=Window(day, day + timedelta(days=1)),
                replaces="scope",
                identity=f"{digest}-{options.fingerprint(version)}",
                detail={"files": files},
            )


def find_bases(storage: Storage, folder: str = "", depth: int = 0) -> list[str]:
    """The folders that have years below them."""
    below = storage.folders(folder)
    if any(_YEAR.fullmatch(name.rpartition("/")[2]) for name in below):
        return [folder]
    if depth >= DEEPEST:
        return []
    return [base for name in below if not name.endswith("/data") for base in find_bases(storage, name, depth + 1)]


def log_files(storage: Storage, folder: str) -> Iterator[StoredFile]:
    """The logs below a day's folder. Large bodies stand apart, under data/: they are not even asked for."""
    for file in storage.files(folder):
        inner = file.name.removeprefix(folder).split("/")
        if "data" in inner[:-1] or not file.name.endswith((".json.gz", ".json")):
            continue
        yield file


def day_records(storage: Storage, files: Sequence[StoredFile], projection: Projection, where: str) -> Records:
    """The records of a day's files, one file after another."""
    for file in files:
        yield from read_records(storage, file, projection, where + file.name)
