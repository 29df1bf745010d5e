"""The commented files that `trendbreak init` writes."""

from __future__ import annotations

from pathlib import Path

from flows.errors import SettingsError

FILES = ("trendbreak.yml", "features.yml")
SCHEMA = "features.schema.json"  # what an editor checks features.yml by


def write_starter(folder: Path) -> list[Path]:
    """Write the starter files into `folder`. Raises SettingsError rather than overwrite one."""
    from warehouse.dictionary import render_schema

    targets = [folder / name for name in FILES]
    for target in targets:
        if target.exists():
            raise SettingsError(f"{target} is there already — remove it, or name another folder")
    (folder / "inbox").mkdir(parents=True, exist_ok=True)  # the starter's one source reads it
    for target in targets:
        target.write_text((Path(__file__).parent / target.name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / SCHEMA).write_text(render_schema(), encoding="utf-8")
    return targets
