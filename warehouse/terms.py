"""The terms on which a source counts: since when, until when, and whether at all.

A migration from one source to another needs both side by side without counting a charge twice: the old one
`until` a day, the new one `since` it; or the new one as a shadow, loaded and compared, in no total.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import duckdb

from warehouse.overlap import Neighbours, refuse_other_sources
from warehouse.standing import Claim, take_back
from warehouse.statements import render
from warehouse.store import Warehouse

Role = Literal["counted", "shadow"]
# Of what stands otherwise only, so that nothing is written where nothing changes.
_MARK = """
UPDATE core.charge_dimensions SET is_shadow = $is_shadow WHERE source_name = $source_name AND is_shadow <> $is_shadow
"""


@dataclass(frozen=True)
class Terms:
    """`since` is the first day that counts, `until` the first that does not; None is open. Days are UTC.

    `tag_keys`: of the tags in files only these are kept, by their plain names; None keeps all.
    """

    since: date | None = None
    until: date | None = None
    role: Role = "counted"
    tag_keys: tuple[str, ...] | None = None

    @property
    def bounds(self) -> str | None:
        """As recorded with each delivery: other bounds, or other tags, make the same bytes news."""
        if self.since is None and self.until is None and self.tag_keys is None:
            return None
        days = f"{self.since or ''}..{self.until or ''}"
        return days if self.tag_keys is None else f"{days} tags {', '.join(sorted(set(self.tag_keys)))}"

    def meets(self, other: Terms) -> bool:
        """Whether a day can count for both."""
        return (self.until is None or other.since is None or other.since < self.until) and (
            other.until is None or self.since is None or self.since < other.until
        )


COUNTED = Terms()


def apply_bounds(wh: Warehouse, source_name: str, terms: Terms, *, now: datetime) -> int:
    """Take out what stands outside the bounds; returns the past totals that changed.

    Where bounds have changed, the source's whole history is due for another look.
    """
    con = wh.con
    changed = con.execute(
        render("terms/other_bounds.sql"), {"source_name": source_name, "bounds": terms.bounds}
    ).fetchone()
    if changed is None:
        return 0
    outside = []
    if terms.since is not None:
        outside.append(Claim(source_name, "", "window", date.min, terms.since, "since"))
    if terms.until is not None:
        outside.append(Claim(source_name, "", "window", terms.until, date.max, "until"))

    def clip() -> int:
        bring_back(con, source_name)
        restated = sum(take_back(con, claim, now) for claim in outside)
        con.execute(
            render("terms/clip_windows.sql"),
            {"source_name": source_name, "since": terms.since, "until": terms.until},
        )
        con.execute("DELETE FROM ops.histories WHERE source_name = ?", [source_name])
        if terms.role == "shadow":
            move_aside(con, source_name)
        return restated

    try:
        return wh.commit(clip)
    finally:
        for name in ("staged_days", "old_days"):
            con.execute(render("load/drop_temporary.sql", table=name))


def apply_role(wh: Warehouse, source_name: str, terms: Terms, neighbours: Neighbours) -> None:
    """Move what stands to where its role says. Raises OverlapError where a shadow cannot be counted yet."""
    con = wh.con
    stands_aside = is_aside(con, source_name)

    def count_it() -> None:
        con.execute(render("terms/staged_days.sql"), [source_name])
        refuse_other_sources(con, source_name, "as a shadow it was loaded beside it", neighbours)
        bring_back(con, source_name)

    if terms.role == "shadow" and not stands_aside:
        wh.commit(lambda: move_aside(con, source_name))
    elif terms.role == "counted" and stands_aside:
        try:
            wh.commit(count_it)
        finally:
            con.execute(render("load/drop_temporary.sql", table="staged_days"))


def move_aside(con: duckdb.DuckDBPyConnection, source_name: str) -> None:
    """Within a transaction: out of core's totals, among the shadows."""
    con.execute(_MARK, {"is_shadow": True, "source_name": source_name})
    con.execute(render("terms/move_aside.sql", source_name=source_name))
    con.execute(render("load/remove.sql", table="core.metered_usage", replaced="TRUE"), {"source_name": source_name})
    con.execute("UPDATE ops.delivery_days SET role = 'shadow' WHERE source_name = ? AND is_current", [source_name])


def bring_back(con: duckdb.DuckDBPyConnection, source_name: str) -> None:
    """Within a transaction: the source's shadow rows stand in core again."""
    con.execute(_MARK, {"is_shadow": False, "source_name": source_name})
    con.execute("INSERT INTO core.metered_usage BY NAME FROM core.shadow_usage WHERE source_name = ?", [source_name])
    con.execute(render("load/remove.sql", table="core.shadow_usage", replaced="TRUE"), {"source_name": source_name})
    con.execute("UPDATE ops.delivery_days SET role = NULL WHERE source_name = ? AND is_current", [source_name])


def taken_over_at(wh: Warehouse, source_name: str, successor_type: str) -> date | None:
    """The first billing period of the source's accounts that a source of the other type covers; None where none."""
    row = wh.con.execute(
        render("terms/taken_over.sql"), {"source_name": source_name, "successor_type": successor_type}
    ).fetchone()
    return row[0] if row else None


def is_aside(con: duckdb.DuckDBPyConnection, source_name: str) -> bool:
    """Whether the source stands as a shadow."""
    row = con.execute(
        "SELECT 1 FROM ops.delivery_days WHERE is_current AND role = 'shadow' AND source_name = ? LIMIT 1",
        [source_name],
    ).fetchone()
    return row is not None
