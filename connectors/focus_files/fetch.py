"""Which bills lie at the location, and their bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from connectors.base import CheckResult, DeliveryRef, Payload
from connectors.errors import ConfigError, ConnectorError
from connectors.focus_files.azure_runs import MANIFEST, newest_runs
from connectors.focus_files.copies import age, set_copies_aside
from connectors.focus_files.days import days_of
from connectors.object_storage import Storage, StoredFile
from connectors.tabular_files import data_suffix, named

# Folders in which engines keep what is not, or not yet, data.
_WORK_FOLDERS = ("_temporary", "_delta_log", "_spark_metadata")
_AWS_MANIFEST = re.compile(r"(^|/)metadata/billing_period=\d{4}-\d{2}/[^/]*manifest\.json$", re.IGNORECASE)


@dataclass(frozen=True)
class Bill:
    """What is loaded and replaced together: one file, or the files of an Azure run."""

    scope: str
    files: tuple[StoredFile, ...]
    problem: ConnectorError | None = None

    @property
    def identity(self) -> str:
        facts = [f"{file.name}\n{file.size}\n{file.version}" for file in self.files]
        facts += [] if self.problem is None else [str(self.problem)]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Found:
    """What lies at the location: bills, copies (copy, original), older Azure runs, and what is no data."""

    bills: tuple[Bill, ...]  # oldest first
    copies: tuple[tuple[StoredFile, StoredFile], ...]
    superseded: tuple[StoredFile, ...]
    others: tuple[StoredFile, ...]


def find_bills(storage: Storage, pattern: str | None) -> Found:
    """List the location. Raises ConfigError where it holds an AWS Data Export, which no listing can read right."""
    files, others = [], []
    for file in storage.files():
        if _AWS_MANIFEST.search(file.name):
            raise ConfigError(
                "this is an AWS Data Export: beside the current delivery it keeps superseded ones, and its "
                "manifests say which is which",
                where=file.address,
                cure="read it with the source type aws_data_exports, or narrow `location`",
            )
        if is_hidden(file.name):
            continue
        if data_suffix(file.name) is None:
            others.append(file)
        elif pattern is None or matches(file.name, pattern):
            files.append(named_in_text(file, storage.address))
    manifests = [file for file in others if PurePosixPath(file.name).name.lower() == MANIFEST]
    runs, singles = newest_runs(storage, files, manifests)
    originals, copies = set_copies_aside(storage, [*singles, *(file for run in runs for file in run.files)])
    kept = set(originals)
    bills = [Bill(file.name, (file,)) for file in singles if file in kept]
    bills += [Bill(run.scope, tuple(file for file in run.files if file in kept), run.problem) for run in runs]
    return Found(
        bills=tuple(sorted((bill for bill in bills if bill.files), key=lambda bill: max(map(age, bill.files)))),
        copies=tuple(copies),
        superseded=tuple(file for run in runs for file in run.superseded),
        others=tuple(file for file in others if file not in manifests),
    )


def named_in_text(file: StoredFile, where: str) -> StoredFile:
    """The file itself. Raises ConfigError where its name cannot be written down."""
    try:
        file.name.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"the file name {file.name!a} holds bytes that are no text", where=where, cure="rename the file"
        ) from None
    return file


def discover_bills(found: Found, storage: Storage, *, source_name: str) -> Iterator[DeliveryRef]:
    """One delivery per bill, oldest first, copies left out."""
    for bill in found.bills:
        yield DeliveryRef(
            source_name=source_name,
            scope=bill.scope,
            window=days_of(storage, bill.files[0]),
            replaces="scope",
            identity=bill.identity,
            detail={"bill": bill},
        )


def fetch_bill(storage: Storage, ref: DeliveryRef) -> Iterator[Payload]:
    """The files as they are. Raises IncompleteDelivery when one changes or goes away meanwhile."""
    bill: Bill = ref.detail["bill"]
    if bill.problem is not None:
        raise bill.problem
    for file in bill.files:
        yield Payload(payload_name(file.name), storage.chunks(file))


def payload_name(name: str) -> str:
    """The file's relative name with its format's suffix in lower case, which is how readers recognise it."""
    suffix = data_suffix(name) or ""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
    joined = "/".join(parts)
    return joined[: len(joined) - len(suffix)] + suffix


def check_bills(storage: Storage, pattern: str | None) -> list[CheckResult]:
    """Is there anything to read, and what is left out and why."""
    found = find_bills(storage, pattern)
    files = [file for bill in found.bills for file in bill.files]
    results = [CheckResult("reachable", True, storage.address)]
    if files:
        newest = max(files, key=age)
        told = f"{len(files)} to read, the newest {newest.name} of {newest.modified:%Y-%m-%d}"
        results.append(CheckResult("files", True, told))
    else:
        cure = "put FOCUS files there (.csv, .csv.gz, .parquet)" + (f", or correct files: {pattern}" if pattern else "")
        results.append(CheckResult("files", False, "nothing to read", cure))
    for bill in found.bills:
        if bill.problem is not None:
            results.append(CheckResult(bill.scope, False, bill.problem.what, bill.problem.cure))
    for copy, original in found.copies:
        results.append(CheckResult("copies", True, f"{copy.name} is left out: it is a copy of {original.name}"))
    for left_out, why in ((found.superseded, "superseded by a newer Azure run"), (found.others, "no FOCUS format")):
        if left_out:
            names = named([file.name for file in left_out])
            results.append(CheckResult("other files", True, f"{len(left_out)} left out, {why}: {names}"))
    return results


def is_hidden(name: str) -> bool:
    """Hidden files, office programs' lock files, and folders in which engines write."""
    parts = PurePosixPath(name).parts
    return (
        any(part.startswith(".") for part in parts)
        or parts[-1].startswith("~")
        or any(part in _WORK_FOLDERS for part in parts[:-1])
    )


def matches(name: str, pattern: str) -> bool:
    """Whether a file's relative name matches the option `files`; the case does not matter."""
    # Without a '/', a pattern is about the file's own name, as in a shell.
    subject = name if "/" in pattern else PurePosixPath(name).name
    return fnmatchcase(subject.lower(), pattern.lower())
