"""How far each source has come, read from what is loaded: nothing to keep in step."""

from __future__ import annotations

from datetime import date, datetime

from warehouse.store import Warehouse


def covered_until(warehouse: Warehouse, source_name: str, since: date) -> date:
    """The first day from `since` on that no standing delivery of the source speaks for.

    A window that failed while later ones were loaded leaves a gap: it is where the next run begins again.
    """
    rows = warehouse.con.execute(
        "SELECT window_start, window_end FROM ops.deliveries "
        "WHERE source_name = ? AND is_current AND window_end > ? ORDER BY window_start, window_end",
        [source_name, since],
    ).fetchall()
    covered = since
    for start, end in rows:
        if start > covered:
            break
        covered = max(covered, end)
    return covered


def is_history_read(warehouse: Warehouse, source_name: str) -> bool:
    """Whether every period that the source holds was read once, without a failure."""
    row = warehouse.con.execute("SELECT 1 FROM ops.histories WHERE source_name = ?", [source_name]).fetchone()
    return row is not None


def mark_history_read(warehouse: Warehouse, source_name: str, *, now: datetime) -> None:
    """From now on only the days that are due are looked at."""
    if not is_history_read(warehouse, source_name):
        warehouse.con.execute("INSERT INTO ops.histories VALUES (?, ?)", [source_name, now])


def charged_through(warehouse: Warehouse) -> dict[str, date]:
    """The newest day that each billing source has spoken for, per source that has any charge.

    An answer to a window speaks for all its days, also those without a charge. An export speaks for a month,
    most of which may be to come: its newest day with a charge counts.
    """
    rows = warehouse.con.execute(
        """
        SELECT c.source_name, greatest(max(c.charge_date), coalesce(max(d.window_end) - 1, max(c.charge_date)))::DATE
        FROM core.charges AS c
        LEFT JOIN (
            SELECT source_name, max(window_end) AS window_end FROM ops.deliveries WHERE replaces = 'window' GROUP BY ALL
        ) AS d ON d.source_name = c.source_name
        GROUP BY c.source_name
        """
    ).fetchall()
    return dict(rows)
