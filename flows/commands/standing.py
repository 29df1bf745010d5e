"""`trendbreak forget` and `trendbreak rename`: what stands in the warehouse and no source speaks for any more."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from flows.errors import SettingsError
from flows.lake import open_home
from flows.run import Home
from flows.settings import Settings
from flows.steps.ingest import is_partitioned

NEXT = "`trendbreak run` builds and publishes without it"


def forget_source(settings: Settings, source: str, delivery: str | None, console: Console) -> None:
    """Take a source, or one delivery of it, out of the warehouse, and say what went."""
    from warehouse.forgetting import forget, read_standing

    with open_home(settings) as warehouse:
        standing = read_standing(warehouse, source)
        are_parts = standing is not None and is_partitioned(standing.source_type)
        gone = forget(warehouse, source, delivery, now=datetime.now(UTC), are_parts=are_parts)
    what = source if delivery is None else f"{source}, {delivery}"
    console.print(Text(f"forgotten: {what}: {gone}; {NEXT}"), soft_wrap=True)
    if source in {configured.name for configured in settings.sources}:
        console.print(
            Text(f"{source} stands in trendbreak.yml: what it still delivers is loaded again"), soft_wrap=True
        )


def rename_source(settings: Settings, old: str, new: str, console: Console) -> None:
    """Give what stands under `old` the name `new`, which trendbreak.yml must have, and not `old`."""
    from warehouse.forgetting import rename

    if old in {configured.name for configured in settings.sources}:
        raise SettingsError(f"trendbreak.yml still names {old!r} — change its name there first")
    source = settings.source(new)
    home = Home(settings.home)
    with open_home(settings) as warehouse:
        moved = rename(warehouse, old, new, new_type=source.type, landing=home.landing)
    console.print(Text(f"{old} is now {new}: {moved}; `trendbreak run` publishes it"), soft_wrap=True)
