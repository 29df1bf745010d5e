"""How far each source has come, read from what is loaded: nothing to keep in step."""

from __future__ import annotations

from datetime import date

from warehouse.store import Warehouse


def loaded_through(warehouse: Warehouse, source_name: str) -> date | None:
    """The day after the last one that any delivery of the source spoke for; None before the first."""
    row = warehouse.con.execute(
        "SELECT max(window_end) FROM ops.deliveries WHERE source_name = ?", [source_name]
    ).fetchone()
    return row[0] if row else None


def last_charge_dates(warehouse: Warehouse) -> dict[str, date]:
    """The newest day with a charge, per source that has any."""
    return dict(warehouse.con.execute("SELECT source_name, max(charge_date) FROM core.charges GROUP BY ALL").fetchall())
