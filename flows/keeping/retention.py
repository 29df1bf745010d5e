"""What is kept of landing: everything that a rebuild needs, and for a while what newer deliveries have replaced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flows.lake import open_home
from flows.run import Home
from flows.settings import Settings


@dataclass(frozen=True)
class Removed:
    """Deliveries and the bytes on disk that they took."""

    deliveries: int
    freed_bytes: int


def remove_superseded(settings: Settings, *, now: datetime | None = None, wait_seconds: float = 0) -> Removed:
    """Remove landed deliveries that were loaded, then replaced by another, and fetched `superseded_days` ago.

    A delivery that still speaks for any day stays for ever; so does one that was never loaded, because nothing else
    holds what it says. Raises WarehouseLocked while a run is on.
    """
    from warehouse.landing import Landing
    from warehouse.load import superseded_deliveries

    days = settings.retention.superseded_days
    home = Home(settings.home)
    if days is None or not home.landing.is_dir():
        return Removed(0, 0)
    before = (now or datetime.now(UTC)) - timedelta(days=days)
    landing = Landing(home.landing)
    with open_home(settings, wait_seconds=wait_seconds) as warehouse:
        superseded = superseded_deliveries(warehouse)
        going = [
            delivery
            for delivery in landing.deliveries()
            if (delivery.source_name, delivery.delivery_id) in superseded and delivery.fetched_at < before
        ]
        freed = sum(landing.remove(delivery) for delivery in going)
        landing.sweep()
    return Removed(len(going), freed)
