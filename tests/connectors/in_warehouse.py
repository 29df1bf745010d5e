"""A source's deliveries through the real landing and into the real warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from connectors.base import Connector, Window
from warehouse.landing import Landing
from warehouse.load import LoadResult, load_delivery, loaded_identities
from warehouse.store import Warehouse, open_warehouse

NOW = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)


@contextmanager
def opened(home: Path) -> Iterator[Warehouse]:
    with open_warehouse(home) as warehouse:
        yield warehouse


def ingest(wh: Warehouse, home: Path, connector: Connector, window: Window) -> list[LoadResult]:
    """discover → fetch → land → parse → load, as a run does it."""
    landing, results = Landing(home / "landing"), []
    loaded = loaded_identities(wh, connector.name)
    for ref in connector.discover(window):
        if ref.identity is not None and (ref.scope, ref.identity) in loaded:
            continue
        delivery = landing.store(ref, connector.fetch(ref), source_type=connector.type, fetched_at=NOW)
        parsed = connector.parse(delivery.files)
        results.append(load_delivery(wh, delivery, parsed.parts, notes=parsed.notes, now=NOW))
    return results
