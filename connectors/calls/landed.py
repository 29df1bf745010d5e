"""Landed telemetry → scans of it in place, rows of what was counted, and notes for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import FileScan, Parsed, Rows
from connectors.calls.payloads import CALLS_FILE, OUTCOMES_FILE, REJECTS_FILE
from connectors.documents import read_document
from connectors.errors import PayloadError
from connectors.schema import CALLS, OUTCOMES, TELEMETRY_ISSUES

GAPS = {
    "no_feature": "no feature",
    "no_task_id": "no task_id",
    "unusable_trace": "a trace or session that is no identifier: no task_id",
    "unknown_status": "status is neither ok nor error",
    "attempt_zero": "attempt 0, taken for a first one: set first_attempt: 0 if the source counts from there",
    "unknown_pricing_tier": "a pricing tier that no price list has: without a price",
    "out_of_order": "more than an hour older than a call before it",
    "several_features": "several features are named: the feature is unknown",
    "cache_hit": "answered from the gateway's own cache: no tokens",
    "no_outcome": "no outcome yet",
    "unknown_tokens": "token counts that cannot be told apart: unknown",
}
LEFT_OUT = {
    "parent_span": "spans around calls, which are no calls themselves",
    "other_source_of_record": "calls that another source is the source of record for",
    "not_a_call": "records that are no calls to a model",
}


def parse_files(files: Mapping[str, Path]) -> Parsed:
    """FileScans of the layouts "calls" and "outcomes". Raises PayloadError when a payload is missing."""
    if REJECTS_FILE not in files or not (CALLS_FILE in files or OUTCOMES_FILE in files):
        missing = REJECTS_FILE if REJECTS_FILE not in files else CALLS_FILE
        raise PayloadError("the delivery lacks this file", where=missing, cure="fetch the delivery again")
    report = read_document(files[REJECTS_FILE], name=REJECTS_FILE)
    parts: list[Rows | FileScan] = [
        FileScan(
            layout=layout,
            file_format="parquet",
            files=(files[name],),
            columns={column: column for column in schema.names},
        )
        for layout, name, schema in (("calls", CALLS_FILE, CALLS), ("outcomes", OUTCOMES_FILE, OUTCOMES))
        if name in files
    ]
    issues = list(_issues(report))
    parts.append(Rows("telemetry_issues", pa.Table.from_pylist(issues, schema=TELEMETRY_ISSUES)))
    return Parsed(parts=tuple(parts), notes=tuple(_notes(report)))


def _issues(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for reason, rejected in sorted(report["rejected"].items()):
        yield {"issue": "rejected", "detail": reason, "occurrences": rejected["count"]}
    for code, count in sorted({**report["kept_with_gaps"], **report["left_out"]}.items()):
        yield {"issue": code, "detail": None, "occurrences": count}
    for name, count in sorted(report["dropped_fields"].items()):
        yield {"issue": "dropped_field", "detail": name, "occurrences": count}
    for code, key in (("dropped_user_id", "dropped_user_ids"), ("unfinished_line", "pending_lines")):
        if report[key]:
            yield {"issue": code, "detail": None, "occurrences": report[key]}


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    for reason, rejected in sorted(report["rejected"].items()):
        numbers = ", ".join(map(str, rejected["lines"][:5]))
        more = ", …" if rejected["count"] > 5 else ""
        yield f"rejected {rejected['count']} of {report['lines']} lines: {reason} (line {numbers}{more})"
    if report["pending_lines"]:
        yield "the last line is not finished yet: left for the next run"
    for code, count in sorted(report["kept_with_gaps"].items()):
        of = f"of {report['calls']} calls" if code != "no_outcome" else "records"
        yield f"{count} {of}: {GAPS.get(code, code)}"
    for code, count in sorted(report["left_out"].items()):
        yield f"{count} left out: {LEFT_OUT.get(code, code)}"
    if report["dropped_fields"]:
        names = ", ".join(f"{name} ({count}×)" for name, count in sorted(report["dropped_fields"].items()))
        yield f"fields dropped before anything was written: {names}"
    if report["dropped_user_ids"]:
        yield f"{report['dropped_user_ids']} user ids dropped: set user_hash_key to keep them as keyed hashes"
