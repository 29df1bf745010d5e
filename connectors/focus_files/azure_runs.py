"""Azure Cost Management exports: every run writes the month so far into a folder of its own.

    <export>/20260101-20260131/<run id>/part_0_0001.csv.gz, …, manifest.json

Unless the export overwrites, yesterday's run stays beside today's, and reading both would count the
month twice. So the newest run of a range of days is one delivery, its scope the range's folder.
`manifest.json`, written last, names the run's parts; a run without one has not ended, or its
manifest was not copied. Layout and manifest: Microsoft Learn, "Create and manage Cost Management exports".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from connectors.errors import ConnectorError, IncompleteDelivery
from connectors.object_storage import Storage, StoredFile, read_small
from connectors.tabular_files import named

_RUN_FILE = re.compile(
    r"(?P<scope>(?:.*/)?\d{8}-\d{8})/(?P<run>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/[^/]+",
    re.IGNORECASE,
)
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Run:
    """The newest run of one range of days. `problem`: why it cannot be loaded now."""

    scope: str
    files: tuple[StoredFile, ...]
    superseded: tuple[StoredFile, ...]  # older runs' files
    problem: ConnectorError | None


def newest_runs(
    storage: Storage, files: Sequence[StoredFile], manifests: Sequence[StoredFile]
) -> tuple[list[Run], list[StoredFile]]:
    """(newest run of each range of days, files that belong to no run)."""
    # The location itself may be the folder of the days.
    here = PurePosixPath(storage.address).name
    ranges: dict[str, dict[str, list[StoredFile]]] = {}
    others: list[StoredFile] = []
    for file in files:
        match = _RUN_FILE.fullmatch(f"{here}/{file.name}")
        if match is None:
            others.append(file)
        else:
            scope = "." if match["scope"] == here else match["scope"].removeprefix(f"{here}/")
            ranges.setdefault(scope, {}).setdefault(match["run"], []).append(file)
    manifest_of = {match["run"]: file for file in manifests if (match := _RUN_FILE.fullmatch(f"{here}/{file.name}"))}
    return [_newest(storage, scope, runs, manifest_of) for scope, runs in sorted(ranges.items())], others


def _newest(
    storage: Storage, scope: str, runs: Mapping[str, list[StoredFile]], manifest_of: Mapping[str, StoredFile]
) -> Run:
    # A run that has not ended is left alone where a finished one is there.
    finished = [run for run in runs if run in manifest_of] or list(runs)
    told = {run: _manifest(storage, manifest_of[run]) for run in finished if run in manifest_of}
    newest = max(finished, key=lambda run: (_submitted(told.get(run, {})), max(f.modified for f in runs[run]), run))
    superseded = tuple(file for run, files in runs.items() if run != newest for file in files)
    problem = _incomplete(told.get(newest, {}), runs[newest], manifest_of.get(newest))
    return Run(scope, tuple(runs[newest]), superseded, problem)


def _manifest(storage: Storage, file: StoredFile) -> dict[str, Any]:
    try:
        document = json.loads(read_small(storage, file).decode("utf-8-sig"))
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _submitted(manifest: Mapping[str, Any]) -> str:
    """When the run was ordered, in a form that sorts; '' where the manifest does not say."""
    run = manifest.get("runInfo")
    told = run.get("submittedTime") if isinstance(run, dict) else None
    try:
        return datetime.fromisoformat(told).astimezone(UTC).isoformat() if isinstance(told, str) else ""
    except ValueError:
        return ""


def _incomplete(
    manifest: Mapping[str, Any], files: Sequence[StoredFile], where: StoredFile | None
) -> ConnectorError | None:
    blobs = manifest.get("blobs")
    if where is None or not isinstance(blobs, list):
        return None
    sizes = {PurePosixPath(file.name).name: file.size for file in files}
    wrong = []
    for blob in blobs:
        name = PurePosixPath(str(blob.get("blobName", ""))).name if isinstance(blob, dict) else ""
        size = blob.get("byteCount") if isinstance(blob, dict) else None
        if name not in sizes or (isinstance(size, int) and size != sizes[name]):
            wrong.append(name or str(blob))
    if not wrong:
        return None
    return IncompleteDelivery(
        f"the manifest names parts that are missing or of another size: {named(wrong)}",
        where=where.address,
        cure="nothing of the run was loaded; copy the run's folder whole, it is looked at again at the next run",
    )
