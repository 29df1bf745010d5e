"""A landed projection → a scan of it in place, and notes on what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.base import FileScan, Parsed
from connectors.documents import read_document
from connectors.errors import PayloadError
from connectors.schema import CALLS

CALLS_FILE = "calls.parquet"
REJECTS_FILE = "rejects.json"


def parse_files(files: Mapping[str, Path]) -> Parsed:
    """One FileScan of layout "calls". Raises PayloadError when a payload is missing."""
    for name in (CALLS_FILE, REJECTS_FILE):
        if name not in files:
            raise PayloadError("the delivery lacks this file", where=name, cure="fetch the file of calls again")
    scan = FileScan(
        layout="calls",
        file_format="parquet",
        files=(files[CALLS_FILE],),
        columns={name: name for name in CALLS.names},
    )
    return Parsed(parts=(scan,), notes=tuple(_notes(read_document(files[REJECTS_FILE], name=REJECTS_FILE))))


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    for reason, rejected in sorted(report["rejected"].items()):
        numbers = ", ".join(map(str, rejected["lines"][:5]))
        more = ", …" if rejected["count"] > 5 else ""
        yield f"rejected {rejected['count']} of {report['lines']} lines: {reason} (line {numbers}{more})"
    if report["pending_lines"]:
        yield "the last line is not finished yet: left for the next run"
    for gap, count in sorted(report["kept_with_gaps"].items()):
        yield f"{count} of {report['calls']} calls: {gap}"
    if report["dropped_fields"]:
        names = ", ".join(f"{name} ({count}×)" for name, count in sorted(report["dropped_fields"].items()))
        yield f"fields dropped before anything was written: {names}"
    if report["dropped_user_ids"]:
        yield f"{report['dropped_user_ids']} user ids dropped: set user_hash_key to keep them as keyed hashes"
