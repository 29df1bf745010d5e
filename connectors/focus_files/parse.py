"""Landed FOCUS files → a scan of the layout "focus"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from connectors.base import Parsed
from connectors.focus_columns import focus_scans
from connectors.tabular_files import read_table_file


def parse_files(files: Mapping[str, Path]) -> Parsed:
    """Read headers only. Raises PayloadError naming the file, the column and the cure."""
    parts, notes = focus_scans([read_table_file(name, path) for name, path in files.items()])
    return Parsed(parts=parts, notes=notes)
