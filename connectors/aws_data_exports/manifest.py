"""AWS's manifests: which files are the current delivery of a billing period. Pure.

    Data Exports   <export>/metadata/BILLING_PERIOD=2026-01/<export>-Manifest.json   dataFiles: s3 URIs
    legacy CUR     <report>/20260101-20260201/<report>-Manifest.json                 reportKeys: keys

AWS writes the manifest after the last data file. Manifests one level deeper belong to single
executions, and `…-Manifest-FOCUS.json` describes columns: neither says what is current.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from connectors.base import Window
from connectors.errors import IncompleteDelivery, PayloadError
from connectors.tabular_files import SUFFIXES, data_suffix

Kind = Literal["data_export", "legacy_cur"]

PERIOD_FOLDER = re.compile(r"billing_period=(\d{4})-(0[1-9]|1[0-2])", re.IGNORECASE)  # AWS has changed its case
LEGACY_FOLDER = re.compile(r"(\d{4})(0[1-9]|1[0-2])01-(\d{4})(0[1-9]|1[0-2])01")
MANIFEST_NAME = re.compile(r"(.+-)?manifest\.json", re.IGNORECASE)
# Where a data file stands below its export, whatever bucket and prefix come before.
_BELOW_EXPORT = re.compile(r"(?:^|/)(data/(billing_period=\d{4}-\d{2})/.+)$", re.IGNORECASE)
_BELOW_REPORT = re.compile(r"(?:^|/)(\d{8}-\d{8}/.+)$")
_BELOW_REPORT_PARQUET = re.compile(r"(?:^|/)([^/]+/year=(\d{4})/month=(\d{1,2})/.+)$")

_REWRITTEN = "AWS rewrites it with every delivery, at least daily; nothing of the period was loaded"
_FOREIGN = "nothing of the period was loaded; let AWS write the manifest, and copy exports whole"


@dataclass(frozen=True)
class Manifest:
    """`files`: data files relative to the export's folder, as the manifest orders them, each once."""

    kind: Kind
    files: tuple[str, ...]
    named: tuple[str, ...]  # the same, as the manifest writes them


def period_of_folder(folder: str) -> date | None:
    """The first day of the billing period that a folder's name tells, for both layouts."""
    name = folder.rpartition("/")[2]
    match = PERIOD_FOLDER.fullmatch(name) or LEGACY_FOLDER.fullmatch(name)
    return date(int(match.group(1)), int(match.group(2)), 1) if match else None


def period_window(start: date) -> Window:
    """A billing period's days: one calendar month (UTC)."""
    return Window(start, (start + timedelta(days=32)).replace(day=1))


def period_scope(start: date) -> str:
    return f"BILLING_PERIOD={start:%Y-%m}"


def read_manifest(data: bytes, *, period: date, where: str) -> Manifest:
    """The data files that a manifest names.

    Raises IncompleteDelivery when it is cut or names none; PayloadError when it is no manifest, or names a file
    outside the export or of another period.
    """
    document = decode_manifest(data, where=where)
    kind: Kind
    if isinstance(document.get("dataFiles"), list):
        kind, listed = "data_export", document["dataFiles"]
    elif isinstance(document.get("reportKeys"), list):
        kind, listed = "legacy_cur", document["reportKeys"]
    else:
        raise PayloadError("the manifest has neither dataFiles nor reportKeys", where=where, cure=_FOREIGN)
    if not listed:
        raise IncompleteDelivery("the manifest names no data file yet", where=where, cure=_REWRITTEN)
    files: dict[str, str] = {}
    for entry in listed:
        if not isinstance(entry, str) or not entry:
            raise PayloadError(f"the manifest names {entry!r} as a data file", where=where, cure=_FOREIGN)
        files.setdefault(_below(entry, kind=kind, period=period, where=where), entry)
    return Manifest(kind, tuple(files), tuple(files.values()))


def decode_manifest(data: bytes, *, where: str) -> dict[str, Any]:
    """A manifest as JSON. Raises IncompleteDelivery when it is cut off, PayloadError when it is no object."""
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise IncompleteDelivery(
            f"the manifest is cut off or no JSON ({len(data)} bytes)", where=where, cure=_REWRITTEN
        ) from None
    if not isinstance(document, dict):
        raise PayloadError("the manifest is no JSON object", where=where, cure=_FOREIGN)
    return document


def _below(entry: str, *, kind: Kind, period: date, where: str) -> str:
    """Where `entry` (an s3 URI, a key, a path) stands relative to the export's folder."""
    key = re.sub(r"^[a-z0-9]+://[^/]*", "", entry, flags=re.IGNORECASE)
    if any(part in ("..", ".") for part in key.split("/")) or "\\" in key or "\0" in key:
        raise PayloadError(f"the manifest names {entry!r}, which leads out of the export", where=where, cure=_FOREIGN)
    if kind == "data_export":
        match = _BELOW_EXPORT.search(key)
        named = period_of_folder(match.group(2)) if match else None
    else:
        match = _BELOW_REPORT.search(key)
        named = period_of_folder(match.group(1).partition("/")[0]) if match else None
        if match is None:
            match = _BELOW_REPORT_PARQUET.search(key)
            named = date(int(match.group(2)), int(match.group(3)), 1) if match else None
    if match is None:
        raise PayloadError(
            f"the manifest names {entry!r}, which is not where AWS puts data files", where=where, cure=_FOREIGN
        )
    if named != period:
        raise PayloadError(
            f"the manifest of {period:%Y-%m} names {entry!r}, a file of another period", where=where, cure=_FOREIGN
        )
    name = match.group(1)
    if "//" in name:
        raise PayloadError(f"the manifest names {entry!r}, which leads out of the export", where=where, cure=_FOREIGN)
    if data_suffix(name) is None:
        raise PayloadError(
            f"the data file {entry!r} has a format that is not read",
            where=where,
            cure=f"let the export write GZIP or Parquet (read are {', '.join(SUFFIXES)})",
        )
    return name
