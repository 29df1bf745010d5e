"""How far each source has come, read from what is loaded: nothing to keep in step."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from warehouse.statements import render
from warehouse.store import Warehouse

_GAP_LOOKBACK_DAYS = 45  # a gap further back is not what holds a source back today
_LEAST_CHARGE_DAYS = 4  # to know a pause when there is one
# How long a day takes to settle, where it is measured: until 99% of its cost is there, on nine days of ten.
_SETTLED_SHARE = Decimal("0.99")
_SETTLED_DAYS_SHARE = Decimal("0.9")
_LEAST_MEASURED_DAYS = 14
_LONGEST_LAG_DAYS = 10  # what is written later is a restatement and no lag
_MEASURED_DAYS = 60


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


def spoken_since(warehouse: Warehouse, source_name: str) -> date | None:
    """The first day that a standing delivery of the source speaks for; None before the first one."""
    row = warehouse.con.execute(
        "SELECT min(window_start) FROM ops.deliveries WHERE source_name = ? AND is_current", [source_name]
    ).fetchone()
    return row[0] if row else None


def is_history_read(warehouse: Warehouse, source_name: str) -> bool:
    """Whether every period that the source holds was read once, without a failure."""
    row = warehouse.con.execute("SELECT 1 FROM ops.histories WHERE source_name = ?", [source_name]).fetchone()
    return row is not None


def mark_history_read(warehouse: Warehouse, source_name: str, *, now: datetime) -> None:
    """From now on only the days that are due are looked at."""

    def mark() -> None:
        if not is_history_read(warehouse, source_name):
            warehouse.con.execute("INSERT INTO ops.histories VALUES (?, ?)", [source_name, now])

    warehouse.commit(mark)


def spoken_through(warehouse: Warehouse, *, as_of: date) -> dict[str, date]:
    """The newest day that each billing source has spoken for when it is `as_of`, per source that has any charge.

    An answer to a window speaks for all its days, also those without a charge; a window that failed while a later
    one was loaded is a gap, and ends what is known. An export speaks for a month, most of which may be to come: its
    newest day with a charge counts, if that day is over. A source that charges on fewer than half of the days is not
    late between two charges: it is taken to have spoken for as long as it paused twice within the last 120 days.
    """
    spoken: dict[str, date] = {}
    rows = warehouse.con.execute(render("reads/source_days.sql"), {"as_of": as_of}).fetchall()
    for name, first_window, last_window, newest, charge_days, span_days, longest_pause in rows:
        if last_window is not None:
            since = max(first_window, last_window - timedelta(days=_GAP_LOOKBACK_DAYS))
            spoken[name] = covered_until(warehouse, name, since) - timedelta(days=1)
        elif charge_days >= _LEAST_CHARGE_DAYS and 2 * charge_days < span_days:
            spoken[name] = newest + timedelta(days=longest_pause)
        else:
            spoken[name] = min(newest, as_of)
    return spoken


def charges_to_come(warehouse: Warehouse, *, after: date) -> list[tuple[str, int, date]]:
    """(source, charges, the last day) of the charges after a day, but for what a purchase is spread over."""
    return warehouse.con.execute(
        "SELECT source_name, count(*), max(charge_date) FROM core.charges WHERE charge_date > ? AND source_rows > 0 "
        "GROUP BY 1 ORDER BY 1",
        [after],
    ).fetchall()


def measured_settle_days(warehouse: Warehouse, source_name: str, *, as_of: date) -> int | None:
    """Whole days after its end until a day's cost is there, as the source's deliveries show; None where they do not.

    For a source whose deliveries are partitions of a table. At least 1, at most 10.
    """
    row = warehouse.con.execute(
        render("reads/settle_days.sql"),
        {
            "source_name": source_name,
            "as_of": as_of,
            "share": _SETTLED_SHARE,
            "of_days": _SETTLED_DAYS_SHARE,
            "least_days": _LEAST_MEASURED_DAYS,
            "longest_lag": _LONGEST_LAG_DAYS,
            "looked_back": _MEASURED_DAYS,
        },
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])
