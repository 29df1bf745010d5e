"""Which exports lie at the location, and their bytes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connectors.base import CheckResult, DeliveryRef, Payload
from connectors.errors import ConnectorError, PayloadError
from connectors.focus_files.copies import age, set_copies_aside
from connectors.focus_files.fetch import is_hidden, matches, named_in_text, payload_name
from connectors.object_storage import Storage, StoredFile
from connectors.provider_csv.editions import find_overlaps, landing_window, local_copy
from connectors.provider_csv.exports import open_export
from connectors.provider_csv.parse import TAKEN
from connectors.tabular_files import SUFFIXES, data_suffix, named


@dataclass(frozen=True)
class Found:
    """What lies at the location: exports oldest first, copies (copy, original), and what is no CSV."""

    files: tuple[StoredFile, ...]
    copies: tuple[tuple[StoredFile, StoredFile], ...]
    others: tuple[StoredFile, ...]


def find_exports(storage: Storage, pattern: str | None) -> Found:
    files, others = [], []
    for file in storage.files():
        if is_hidden(file.name):
            continue
        suffix = data_suffix(file.name)
        if suffix is None or SUFFIXES[suffix] != "csv":
            others.append(file)
        elif pattern is None or matches(file.name, pattern):
            files.append(named_in_text(file, storage.address))
    originals, copies = set_copies_aside(storage, files)
    return Found(tuple(sorted(originals, key=age)), tuple(copies), tuple(others))


def discover_exports(found: Found, storage: Storage, *, source_name: str) -> Iterator[DeliveryRef]:
    """One delivery per file, oldest first, copies left out."""
    overlaps = find_overlaps(storage, found.files)
    for file in found.files:
        taken = {str(day): name for day, name in sorted(overlaps.taken.get(file.name, {}).items())}
        problem = overlaps.problems.get(file.name)
        facts = [file.name, file.size, file.version, taken, str(problem or "")]
        yield DeliveryRef(
            source_name=source_name,
            scope=file.name,
            window=landing_window(file),
            replaces="scope",
            identity=hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32],
            detail={"file": file, "taken": taken, "problem": problem},
        )


def fetch_export(storage: Storage, ref: DeliveryRef) -> Iterator[Payload]:
    """The file as it is, and which of its days a newer one speaks for.

    Raises IncompleteDelivery when the file changes or goes away meanwhile.
    """
    problem: ConnectorError | None = ref.detail["problem"]
    if problem is not None:
        raise problem
    file: StoredFile = ref.detail["file"]
    yield Payload(payload_name(file.name), storage.chunks(file))
    if ref.detail["taken"]:
        yield Payload(TAKEN, [json.dumps(ref.detail["taken"], sort_keys=True, ensure_ascii=False).encode()])


def check_exports(storage: Storage, pattern: str | None) -> list[CheckResult]:
    """Which export every file is, and what is left out and why."""
    found = find_exports(storage, pattern)
    results = [CheckResult("reachable", True, storage.address)]
    if not found.files:
        cure = "put console exports there (.csv, .csv.gz)" + (f", or correct files: {pattern}" if pattern else "")
        results.append(CheckResult("files", False, "nothing to read", cure))
    titles: Counter[str] = Counter()
    for file in found.files:
        try:
            with local_copy(storage, file) as path:
                titles[open_export(payload_name(file.name), path).export.title] += 1
        except PayloadError as error:
            results.append(CheckResult(file.name, False, error.what, error.cure))
    results += [CheckResult("files", True, f"{count} of {title}") for title, count in sorted(titles.items())]
    results += _overlap_results(storage, found.files)
    for copy, original in found.copies:
        results.append(CheckResult("copies", True, f"{copy.name} is left out: it is a copy of {original.name}"))
    if found.others:
        names = named([file.name for file in found.others])
        results.append(CheckResult("other files", True, f"{len(found.others)} left out, no CSV: {names}"))
    return results


def _overlap_results(storage: Storage, files: Sequence[StoredFile]) -> Iterator[CheckResult]:
    overlaps = find_overlaps(storage, files)
    for name, taken in sorted(overlaps.taken.items()):
        newer = named(sorted(set(taken.values())))
        yield CheckResult("overlaps", True, f"{len(taken)} days of {name} are read from {newer}")
    for name, problem in sorted(overlaps.problems.items()):
        yield CheckResult(name, False, problem.what, problem.cure)
