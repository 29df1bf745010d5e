"""The commented files that `trendbreak init` writes."""

from __future__ import annotations

from pathlib import Path

from flows.errors import SettingsError

FILES = ("trendbreak.yml", "features.yml")
SCHEMA = "features.schema.json"  # what an editor checks features.yml by


def write_starter(folder: Path) -> list[Path]:
    """Write those starter files that `folder` lacks. Raises SettingsError when it has all of them."""
    from warehouse.dictionary import render_schema

    targets = [folder / name for name in FILES if not (folder / name).exists()]
    if not targets:
        raise SettingsError(f"{' and '.join(FILES)} are there already in {folder} — remove one, or name another folder")
    (folder / "inbox").mkdir(parents=True, exist_ok=True)  # the starter's one source reads it
    for target in targets:
        target.write_text((Path(__file__).parent / target.name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / SCHEMA).write_text(render_schema(), encoding="utf-8")
    return targets
