"""Hourly usage, as a provider's own meter tells it: the newest 14 days, replaced day by day, and no money.

Nothing of it is recorded as a delivery: it is an estimate until the bill is there, and asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from warehouse.classification import provider_slug
from warehouse.landing import LandedDelivery
from warehouse.scans import FileScanLike, RowsLike, open_scans
from warehouse.staged_calls import name_models
from warehouse.statements import render
from warehouse.store import Warehouse

DAYS_KEPT = 14


def metered_until(wh: Warehouse, source_name: str) -> datetime | None:
    """The beginning of the source's newest metered hour (UTC, naive); None before the first."""
    row = wh.con.execute(
        "SELECT max(usage_hour) FROM core.metered_hours WHERE source_name = ?", [source_name]
    ).fetchone()
    return row[0] if row else None


def load_hours(
    wh: Warehouse, delivery: LandedDelivery, parts: Iterable[RowsLike | FileScanLike], *, today: date
) -> int:
    """Replace the hours of the delivery's days, in one transaction; returns the rows that are there now.

    What is older than 14 days goes. Raises LoadError for rows that cannot be read.
    """
    con = wh.con
    registered: list[str] = []
    try:
        scan = open_scans(con, parts, names={}, registered=registered)["metered_hours"]
        name_models(con, scan.select(), "NULL::VARCHAR", delivery.window_start)

        def replace() -> int:
            con.execute(
                render(
                    "load/remove.sql",
                    table="core.metered_hours",
                    replaced=render("hours/replaced.sql", delivery=delivery, oldest=today - timedelta(days=DAYS_KEPT)),
                ),
                {"source_name": delivery.source_name},
            )
            row = con.execute(
                render("hours/insert.sql", scan=scan.select(), delivery=delivery),
                {
                    "source_name": delivery.source_name,
                    "provider": provider_slug(delivery.source_type, day=delivery.window_start),
                },
            ).fetchone()
            return int(row[0]) if row else 0

        return wh.commit(replace)
    finally:
        for name in registered:
            con.unregister(name)
        con.execute(render("load/drop_temporary.sql", table="canonical_names"))
