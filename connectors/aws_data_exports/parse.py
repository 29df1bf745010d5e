"""A landed delivery → scans: FOCUS, CUR 2.0 or legacy CUR, told by the manifest's kind and the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from connectors.aws_data_exports.manifest import MANIFEST_NAME, decode_manifest
from connectors.aws_data_exports.schema import (
    CUR_COST_COLUMNS,
    CUR_FAMILIES,
    CUR_KEYED_MAPS,
    CUR_MAPS,
    CUR_OPTIONAL,
    CUR_REQUIRED,
    CUR_TIME_COLUMNS,
    FOCUS_AWS_COLUMNS,
    canonical_name,
)
from connectors.base import FileScan, Parsed, read_payload
from connectors.errors import PayloadError
from connectors.focus_columns import focus_scans, is_number_or_text, is_time_or_text, looks_like_focus
from connectors.tabular_files import (
    TableFile,
    extra_text,
    file_notes,
    missing_text,
    named,
    read_table_file,
    scans,
)


def parse_delivery(files: Mapping[str, Path]) -> Parsed:
    """Read the manifest and the files' headers. Raises PayloadError naming file, column and cure."""
    manifests = [name for name in files if MANIFEST_NAME.fullmatch(name.rpartition("/")[2])]
    if len(manifests) != 1:
        raise PayloadError(f"{len(manifests)} manifests in one delivery, not 1", where=", ".join(files))
    manifest = decode_manifest(read_payload(files[manifests[0]]), where=manifests[0])
    tables = [
        read_table_file(name.removeprefix("export/"), path) for name, path in files.items() if name != manifests[0]
    ]
    if not tables:
        raise PayloadError("the delivery holds no data file", where=manifests[0])
    is_focus = {looks_like_focus(table.columns) for table in tables}
    if len(is_focus) > 1:
        raise PayloadError(
            "some files of the delivery are FOCUS and some are not",
            where=manifests[0],
            cure="one export has one table: give each export a folder of its own",
        )
    if is_focus == {True} or not any(_is_cur(table) for table in tables):
        parts, notes = focus_scans(tables, expected_extra=FOCUS_AWS_COLUMNS)
    else:
        parts, notes = _cur_scans(tables, layout="cur_legacy" if "reportKeys" in manifest else "cur2")
    return Parsed(parts=parts, notes=notes)


def _is_cur(table: TableFile) -> bool:
    return any(canonical_name(column).startswith("line_item_") for column in table.columns)


def _cur_scans(tables: Sequence[TableFile], *, layout: str) -> tuple[tuple[FileScan, ...], tuple[str, ...]]:
    """CUR files as scans with CUR 2.0's names (schema.py), and notes for the person."""
    mapped = [(table, _map_cur_header(table)) for table in tables]
    called = "legacy CUR" if layout == "cur_legacy" else "CUR 2.0"
    notes = [f"{named([table.name for table in tables])}: {called}"]
    unknown = sorted(
        {column for table in tables for column in table.columns if not canonical_name(column).startswith(CUR_FAMILIES)}
    )
    if unknown:
        notes.append(extra_text(called, unknown))
    return scans(layout, mapped), (*notes, *file_notes(mapped))


# The legacy report has product attributes whose names differ in case only: of these texts the first is read.
_MAY_COME_TWICE = frozenset(name for name in CUR_OPTIONAL if name.startswith("product_"))


def _map_cur_header(table: TableFile) -> dict[str, str]:
    known = {*CUR_REQUIRED, *CUR_OPTIONAL, *CUR_MAPS}
    found: dict[str, str] = {}
    for column in table.columns:
        name = canonical_name(column)
        if name not in known and name.partition(".")[0] not in CUR_KEYED_MAPS:
            continue
        if name in found and name in _MAY_COME_TWICE:
            continue
        if name in found:
            raise PayloadError(
                f"the columns {found[name]!r} and {column!r} both stand for {name}",
                where=table.name,
                cure="take one of them out of the export's query",
            )
        found[name] = column
    missing = [name for name in CUR_REQUIRED if name not in found]
    if missing:
        raise PayloadError(
            missing_text("CUR", missing),
            where=table.name,
            cure="add it to the export's query (SELECT …), or export all columns",
        )
    for name, column in found.items():
        kind = table.type_of(column)
        if kind is None or pa.types.is_null(kind):
            continue
        if (name in CUR_COST_COLUMNS and not is_number_or_text(kind)) or (
            name in CUR_TIME_COLUMNS and not is_time_or_text(kind)
        ):
            raise PayloadError(
                f"column {column!r} is of type {kind}", where=table.name, cure="let AWS write the export again"
            )
    return found
