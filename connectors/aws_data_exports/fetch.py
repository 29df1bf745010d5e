"""Find the export below the location, read its manifests, fetch what they name and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from connectors.aws_data_exports.manifest import (
    LEGACY_FOLDER,
    MANIFEST_NAME,
    PERIOD_FOLDER,
    Kind,
    Manifest,
    period_of_folder,
    period_scope,
    period_window,
    read_manifest,
)
from connectors.base import CheckResult, DeliveryRef, Payload, Window
from connectors.errors import ConfigError, ConnectorError, IncompleteDelivery
from connectors.object_storage import Storage, StoredFile, read_small
from connectors.tabular_files import named

# The export lies at the location or a few folders below it; a whole bucket is not searched.
_DEEPEST = 4
_MOST_FOLDERS = 200
# Deliveries that overwrite each other lie hours apart; a copy may set down its files in any order, within minutes.
_DELIVERED_WITHIN = timedelta(hours=1)
_LAYOUT = "an export is a folder with metadata/BILLING_PERIOD=YYYY-MM/<export>-Manifest.json below it"


@dataclass(frozen=True)
class Export:
    """One export below the location: its folder ('' is the location itself) and its periods' folders."""

    folder: str
    kind: Kind
    periods: tuple[str, ...]  # folders, relative to the location


@dataclass(frozen=True)
class Delivery:
    """What a period's manifest says is current, as found when it was looked at.

    `problem` is why it cannot be loaded now; it is raised by the fetch, so that one period in
    trouble does not hold up the others.
    """

    export: Export
    period: date
    manifest_file: StoredFile
    manifest_bytes: bytes
    files: tuple[tuple[str, StoredFile], ...]  # (name below the export, file)
    problem: ConnectorError | None

    @property
    def identity(self) -> str:
        """Changes with the manifest's bytes, and with the version of any file that it names."""
        facts = [hashlib.sha256(self.manifest_bytes).hexdigest()]
        facts += [f"{name}\n{file.size}\n{file.version}" for name, file in self.files]
        facts += [] if self.problem is None else [str(self.problem)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def find_export(storage: Storage) -> Export:
    """The one export at or below the location. Raises ConfigError when there is none, or more than one."""
    found: list[Export] = []
    unfinished: list[str] = []
    level, seen = [""], 0
    for _ in range(_DEEPEST + 1):
        below: list[str] = []
        for folder in level:
            seen += 1
            if seen > _MOST_FOLDERS:
                raise ConfigError(
                    f"more than {_MOST_FOLDERS} folders below the location and no end",
                    where=storage.address,
                    cure="point location at the export's own folder",
                )
            inside = {_last(name).lower(): name for name in storage.folders(folder)}
            periods, kind = _periods(storage, inside)
            if periods:
                found.append(Export(folder, kind, periods))
            elif "data" in inside and _partitions(storage, inside["data"]):
                unfinished.append(_address(storage, folder))
            elif "metadata" not in inside:  # else: an export of something that has no billing periods
                below += [name for name in inside.values() if not _last(name).startswith((".", "_"))]
        level = below
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"{len(found)} exports lie below the location: {', '.join(_address(storage, e.folder) for e in found)}",
            where=storage.address,
            cure="point location at one of them, and add a source for each other one that you want read",
        )
    raise _nothing_found(storage, unfinished)


def _periods(storage: Storage, inside: Mapping[str, str]) -> tuple[tuple[str, ...], Kind]:
    """The billing periods' folders of the export that has these folders, none when it is no export."""
    metadata = _partitions(storage, inside["metadata"]) if "metadata" in inside else ()
    if metadata:
        return metadata, "data_export"
    return tuple(name for last, name in inside.items() if LEGACY_FOLDER.fullmatch(last)), "legacy_cur"


def _partitions(storage: Storage, folder: str) -> tuple[str, ...]:
    return tuple(name for name in storage.folders(folder) if PERIOD_FOLDER.fullmatch(_last(name)))


def _nothing_found(storage: Storage, unfinished: Sequence[str]) -> ConnectorError:
    if unfinished:
        return IncompleteDelivery(
            f"{named(unfinished)} has data but no manifest yet",
            where=storage.address,
            cure="AWS writes the manifest last; it is looked for again at the next run",
        )
    here = _last(storage.address)
    if here.lower() in ("data", "metadata") or period_of_folder(here):
        return ConfigError(
            "no AWS data export here", where=storage.address, cure="point location at the export's own folder, above"
        )
    return ConfigError(
        "no AWS data export here or below",
        where=storage.address,
        cure=f"check location: {_LAYOUT}; a new export's first delivery takes up to 24 hours",
    )


def _address(storage: Storage, folder: str) -> str:
    return storage.place(folder) if folder else storage.address


def discover_periods(storage: Storage, window: Window, *, source_name: str) -> Iterator[DeliveryRef]:
    """One delivery per billing period that touches the window, oldest first."""
    return (_reference(delivery, source_name) for delivery in find_deliveries(storage, window))


def discover_restated_periods(
    storage: Storage, before: date, written_since: date, *, source_name: str
) -> Iterator[DeliveryRef]:
    """One delivery per period that ended by `before` and whose manifest was written on or after `written_since`.

    All manifests of a Data Export are told by one listing; only those that are new are read.
    """
    export = find_export(storage)
    closed: dict[str, date] = {}
    for folder in export.periods:
        period = period_of_folder(folder)
        if period is not None and period_window(period).end <= before:
            closed[folder] = period
    # A legacy report's data lies beside its manifests: not all of it is listed.
    at_once = export.kind == "data_export"
    anew: dict[date, list[str]] = {}
    for folder in sorted({folder.rpartition("/")[0] if at_once else folder for folder in closed}):
        for file in storage.files(folder, recursive=at_once):
            home, _, name = file.name.rpartition("/")
            if home in closed and MANIFEST_NAME.fullmatch(name) and file.modified.date() >= written_since:
                anew.setdefault(closed[home], [])
    for folder, period in closed.items():
        if period in anew:
            anew[period].append(folder)
    for period in sorted(anew):
        manifest = _current_manifest(storage, anew[period])
        if manifest is not None:
            yield _reference(_look_at(storage, export, period, manifest), source_name)


def _reference(delivery: Delivery, source_name: str) -> DeliveryRef:
    return DeliveryRef(
        source_name=source_name,
        scope=period_scope(delivery.period),
        window=period_window(delivery.period),
        replaces="scope",
        identity=delivery.identity,
        detail={"delivery": delivery},
    )


def find_deliveries(storage: Storage, window: Window | None) -> Iterator[Delivery]:
    """The current delivery of every period that touches the window (None: of every period)."""
    export = find_export(storage)
    folders: dict[date, list[str]] = {}
    for folder in export.periods:
        period = period_of_folder(folder)
        if period is not None and (window is None or _touch(period_window(period), window)):
            folders.setdefault(period, []).append(folder)
    for period in sorted(folders):
        manifest = _current_manifest(storage, folders[period])
        if manifest is not None:
            yield _look_at(storage, export, period, manifest)


def _touch(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def _current_manifest(storage: Storage, folders: Sequence[str]) -> StoredFile | None:
    """The manifest directly in a period's folder. Where AWS changed the folder's case, the newer one."""
    manifests = [
        file
        for folder in folders
        for file in storage.files(folder, recursive=False)
        if MANIFEST_NAME.fullmatch(_last(file.name))
    ]
    manifests.sort(key=lambda file: file.modified, reverse=True)
    if len(manifests) > 1 and manifests[0].modified == manifests[1].modified:
        raise ConfigError(
            "two manifests of one period, equally old: which is current cannot be told",
            where=f"{manifests[0].address} and {manifests[1].address}",
            cure="remove the one that AWS no longer writes",
        )
    return manifests[0] if manifests else None


def _look_at(storage: Storage, export: Export, period: date, manifest_file: StoredFile) -> Delivery:
    data = read_small(storage, manifest_file)
    try:
        manifest = read_manifest(data, period=period, where=manifest_file.address)
        files, problem = _named_files(storage, export, manifest, manifest_file)
    except ConnectorError as error:
        files, problem = (), error
    return Delivery(export, period, manifest_file, data, files, problem)


def _named_files(
    storage: Storage, export: Export, manifest: Manifest, manifest_file: StoredFile
) -> tuple[tuple[tuple[str, StoredFile], ...], ConnectorError | None]:
    full_names = {name: f"{export.folder}/{name}" if export.folder else name for name in manifest.files}
    # One listing per folder tells size and version of every file; usually all are in one.
    folders = dict.fromkeys(full_name.rpartition("/")[0] for full_name in full_names.values())
    there = {file.name: file for folder in folders for file in storage.files(folder, recursive=False)}
    missing = [
        entry for name, entry in zip(manifest.files, manifest.named, strict=True) if full_names[name] not in there
    ]
    files = tuple((name, there[full]) for name, full in full_names.items() if full in there)
    empty = [file.address for _, file in files if file.size == 0]
    newer = [file.address for _, file in files if file.modified - manifest_file.modified > _DELIVERED_WITHIN]
    problem: ConnectorError | None = None
    if missing:
        problem = IncompleteDelivery(
            f"the manifest names {len(missing)} of {len(manifest.files)} files that are not there: {named(missing)}",
            where=manifest_file.address,
            cure=f"looked for below {_address(storage, export.folder)}; nothing of the period was loaded, it is looked "
            "for again at the next run; if it stays, copy the export whole, or ask AWS to refresh it",
        )
    elif empty:
        problem = IncompleteDelivery(
            f"the manifest names files of 0 bytes: {named(empty)}",
            where=manifest_file.address,
            cure="nothing of the period was loaded; it is read again at the next run",
        )
    elif newer:
        problem = IncompleteDelivery(
            f"{len(newer)} of {len(files)} files are newer than the manifest that names them: {named(newer)}",
            where=manifest_file.address,
            cure="AWS writes the manifest last, so it is delivering the period anew; nothing of it was loaded, it is "
            "looked at again at the next run; where you copied the export, copy its manifests again",
        )
    return files, problem


def fetch_delivery(storage: Storage, ref: DeliveryRef) -> Iterator[Payload]:
    """The manifest, then every file that it names, exactly in the versions that discover saw.

    Raises IncompleteDelivery when the delivery is not whole, or AWS replaces it meanwhile.
    """
    delivery: Delivery = ref.detail["delivery"]
    if delivery.problem is not None:
        raise delivery.problem
    yield Payload(f"export/{_last(delivery.manifest_file.name)}", [delivery.manifest_bytes])
    for name, file in delivery.files:
        yield Payload(f"export/{name}", storage.chunks(file))
    if b"".join(storage.chunks(delivery.manifest_file)) != delivery.manifest_bytes:
        raise IncompleteDelivery(
            "AWS delivered the period anew while it was being read",
            where=delivery.manifest_file.address,
            cure="nothing of it was loaded; it is read again at the next run",
        )


def check_export(storage: Storage) -> list[CheckResult]:
    """Reachable, which export, how many periods, and is the newest delivery whole."""
    export = find_export(storage)
    results = [CheckResult("export", True, f"{_address(storage, export.folder)}, {export.kind.replace('_', ' ')}")]
    newest = max(filter(None, (period_of_folder(folder) for folder in export.periods)))
    deliveries = list(find_deliveries(storage, period_window(newest)))
    if not deliveries:
        results.append(
            CheckResult(
                "delivery", False, f"{newest:%Y-%m} has no manifest yet", "AWS writes it with the first full delivery"
            )
        )
    for delivery in deliveries:
        if delivery.problem is not None:
            results.append(CheckResult("delivery", False, delivery.problem.what, delivery.problem.cure))
            continue
        total = sum(file.size for _, file in delivery.files)
        results.append(
            CheckResult(
                "delivery",
                True,
                f"{len(export.periods)} periods; {delivery.period:%Y-%m} has {len(delivery.files)} files, "
                f"{total / 1e6:.1f} MB, delivered {delivery.manifest_file.modified:%Y-%m-%d %H:%M} UTC",
            )
        )
        # Reading one byte proves s3:GetObject on the data, which listing does not.
        for _, file in delivery.files[:1]:
            next(iter(storage.chunks(file)))
            results.append(CheckResult("data", True, f"{file.address} can be read"))
    return results


def _last(name: str) -> str:
    return name.rpartition("/")[2]
