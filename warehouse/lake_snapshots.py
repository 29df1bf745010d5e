"""What readers are given of a DuckLake: published snapshots, as DuckDB files that need neither catalogue nor network.

Copying a snapshot is what a run does when it publishes, what another machine does to have that file too, and what
`trendbreak query --at` does with an older one.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from warehouse.errors import StoreError
from warehouse.lake import CATALOG, Lake, attach, conflicts_named, is_made, lake_connection, retry_conflicts
from warehouse.model_runner import read_tables
from warehouse.statements import quote_literal, quote_name, render
from warehouse.store import STORAGE_VERSION, roll_back

if TYPE_CHECKING:
    from warehouse.store import Warehouse

MESSAGE = "published"
READERS = ("core", "focus", "marts", "ops")  # the schemas that readers are given
# What loads write. Readers are given it as the build found it: what was loaded since is in no mart yet.
LOADED = (
    "core.charge_amounts",
    "core.charge_dimensions",
    "core.charges",  # a table, as core.shadow_charges was, in the snapshots of a program that did not part them
    "core.gpu_utilization",
    "core.metered_hours",
    "core.metered_usage",
    "core.shadow_charges",
    "core.shadow_usage",
    "ops.deliveries",
    "ops.delivery_days",
    "ops.restatements",
    "ops.telemetry_deliveries",
)


@dataclass(frozen=True)
class Snapshot:
    """A published snapshot of a lake, and when it was committed."""

    version: int
    committed_at: datetime


def mark_published(con: duckdb.DuckDBPyConnection) -> None:
    """Within a transaction: its snapshot is one for readers."""
    con.execute(f"CALL {CATALOG}.set_commit_message('trendbreak', {quote_literal(MESSAGE)})")


def last_committed(con: duckdb.DuckDBPyConnection) -> int:
    """The snapshot that this connection's last commit made."""
    row = con.execute(f"FROM {CATALOG}.last_committed_snapshot()").fetchone()
    assert row is not None
    return int(row[0])


def find_published(lake: Lake, *, at: datetime | None = None) -> Snapshot:
    """The newest published snapshot, or the newest of those committed by `at`. Raises StoreError where none is."""
    from psycopg import sql

    with closing(lake.connect()) as connection:
        if not is_made(connection, lake):
            raise _nothing_published(lake)
        statement = sql.SQL(
            "SELECT snapshot_id, snapshot_time FROM {} JOIN {} USING (snapshot_id) WHERE commit_message = %s ORDER BY 1"
        ).format(
            sql.Identifier(lake.schema, "ducklake_snapshot"), sql.Identifier(lake.schema, "ducklake_snapshot_changes")
        )
        rows = connection.execute(statement, [MESSAGE]).fetchall()
    found = [Snapshot(version, when.astimezone(UTC)) for version, when in rows]
    kept = [snapshot for snapshot in found if at is None or snapshot.committed_at <= at]
    if kept:
        return kept[-1]
    if at is None or not found:
        raise _nothing_published(lake)
    raise StoreError(
        f"nothing was published by {at:%Y-%m-%d %H:%M:%S} UTC",
        where=f"lake {lake.address}",
        cure=f"the oldest snapshot that is kept is of {found[0].committed_at:%Y-%m-%d %H:%M:%S} UTC",
    )


def _nothing_published(lake: Lake) -> StoreError:
    return StoreError("nothing is published yet", where=f"lake {lake.address}", cure="`trendbreak run` publishes")


def read_version(published: Path) -> int | None:
    """Of which snapshot the file is; None where there is no such file."""
    if not published.is_file():
        return None
    with duckdb.connect(str(published), read_only=True) as con:
        try:
            row = con.execute("SELECT lake_snapshot FROM ops.publication").fetchone()
        except duckdb.Error:  # the file of a warehouse that was no lake
            return None
    return int(row[0]) if row else None


def drop_snapshots(wh: Warehouse, *, snapshot_days: int) -> int:
    """Expire snapshots older than that, and remove the files that nothing needs any more; how many snapshots went."""

    def run(statement: str) -> int:
        with conflicts_named():  # each is a transaction of its own, and finds done what was done
            return len(wh.con.execute(statement).fetchall())

    with wh.turn("deliveries"), wh.turn("models"):
        statements = render("lake/upkeep.sql", snapshot_days=snapshot_days).split(";")
        dropped, *_ = [retry_conflicts(partial(run, statement)) for statement in statements]
    return dropped


def copy_snapshot(
    lake: Lake,
    version: int,
    target: Path,
    *,
    filled: Collection[str] | None = None,
    con: duckdb.DuckDBPyConnection | None = None,
) -> None:
    """Write the tables and views of a snapshot, with their comments, into the new DuckDB file `target`.

    What loads write is given as the build before that snapshot found it, so that its sums are those of the marts.
    `filled`: of the tables only these (`schema.name` in small letters), and those that views of these names read, get
    their rows; the others are there, and empty.
    `con`: by which connection; by one of its own without it.
    """
    with nullcontext(con) if con is not None else lake_connection() as con:
        _copy(con, lake, version, target, filled)


def _copy(
    con: duckdb.DuckDBPyConnection, lake: Lake, version: int, target: Path, filled: Collection[str] | None
) -> None:
    try:
        attach(con, lake, name="frozen", version=version)
        con.execute(f"ATTACH {quote_literal(target)} AS target (STORAGE_VERSION {quote_literal(STORAGE_VERSION)})")
        con.execute("BEGIN TRANSACTION")  # one for all: each commit waits for the disk
        views = {
            (schema, view): (statement.split(" AS ", 1)[1], comment)  # CREATE VIEW … AS SELECT …
            for schema, view, statement, comment in con.execute(
                render("lake/views.sql"), {"database": "frozen"}
            ).fetchall()
        }
        if filled is not None:
            seen = (select for (schema, view), (select, _) in views.items() if f"{schema}.{view}".casefold() in filled)
            filled = {*filled, *(table for select in seen for table in read_tables(con, select) or ())}
        columns: dict[tuple[str, str], list[tuple[str, str, str | None]]] = {}
        for schema, table, name, kind, comment in con.execute(
            render("lake/columns.sql"), {"database": "frozen"}
        ).fetchall():
            columns.setdefault((schema, table), []).append((name, kind, comment))
        for schema in sorted({schema for schema, _ in columns}):
            con.execute(f"CREATE SCHEMA target.{quote_name(schema)}")
        for schema, table, comment, table_version, has_rows in _list_tables(lake, version):
            place = f"{quote_name(schema)}.{quote_name(table)}"
            if has_rows and (filled is None or f"{schema}.{table}".casefold() in filled):
                con.execute(f"CREATE TABLE target.{place} AS FROM frozen.{place} AT (VERSION => {table_version})")
            else:  # made without asking DuckLake, which takes long to say that a table is empty
                types = ", ".join(f"{quote_name(name)} {kind}" for name, kind, _ in columns[schema, table])
                con.execute(f"CREATE TABLE target.{place} ({types})")
            _comment(con, "TABLE", place, comment, columns[schema, table])
        for (schema, view), (select, comment) in views.items():
            place = f"{quote_name(schema)}.{quote_name(view)}"
            con.execute(f"CREATE VIEW target.{place} AS {select}")
            _comment(con, "VIEW", place, comment, columns[schema, view])
        # Another machine asks by it whether its file is still the newest.
        con.execute("ALTER TABLE target.ops.publication ADD COLUMN lake_snapshot BIGINT")
        con.execute("UPDATE target.ops.publication SET lake_snapshot = ?", [version])
        con.execute("COMMIT")
        con.execute("CHECKPOINT target")
    except BaseException:
        roll_back(con)
        raise
    finally:  # also after a failure: the connection may be a run's
        for name in ("target", "frozen"):
            con.execute(f"DETACH DATABASE IF EXISTS {name}")


def _comment(
    con: duckdb.DuckDBPyConnection,
    kind: str,
    place: str,
    comment: str | None,
    columns: list[tuple[str, str, str | None]],
) -> None:
    """Comments of a table or view of the target, and of its columns (name, type, comment)."""
    if comment is not None:
        con.execute(f"COMMENT ON {kind} target.{place} IS {quote_literal(comment)}")
    for name, _, text in columns:
        if text is not None:
            con.execute(f"COMMENT ON COLUMN target.{place}.{quote_name(name)} IS {quote_literal(text)}")


def _list_tables(lake: Lake, version: int) -> list[tuple[str, str, str | None, int, bool]]:
    """(schema, name, comment, snapshot to take its rows from, whether it may hold one) of what readers are given."""
    from psycopg import sql

    names = ("ducklake_table", "ducklake_schema", "ducklake_tag", "ducklake_data_file", "ducklake_snapshot")
    with closing(lake.connect()) as connection:
        statement = sql.SQL(_TABLES).format(*(sql.Identifier(lake.schema, name) for name in names))
        return connection.execute(
            statement, {"version": version, "schemas": list(READERS), "loaded": list(LOADED)}
        ).fetchall()


# What stands in the catalogue at a snapshot: telemetry by call (staging) and the turns stay in the lake. A build makes
# core.allocations anew, so that this table's first snapshot is that of the build; where maintenance has dropped it, the
# next one that is kept.
_TABLES = """
WITH tables AS (
    SELECT s.schema_name, t.table_name, t.table_id, t.begin_snapshot
    FROM {0} AS t
    JOIN {1} AS s ON s.schema_id = t.schema_id
    WHERE t.begin_snapshot <= %(version)s AND (t.end_snapshot IS NULL OR t.end_snapshot > %(version)s)
      AND s.schema_name = ANY(%(schemas)s)
),
built AS (
    SELECT min(n.snapshot_id) AS version
    FROM {4} AS n
    JOIN tables AS t ON n.snapshot_id >= t.begin_snapshot
    WHERE t.schema_name = 'core' AND t.table_name = 'allocations'
),
dated AS (
    SELECT
        t.*,
        CASE WHEN t.schema_name || '.' || t.table_name = ANY(%(loaded)s) THEN coalesce(b.version, %(version)s)
            ELSE %(version)s
        END AS version
    FROM tables AS t
    CROSS JOIN built AS b
)
SELECT d.schema_name, d.table_name, g.value, d.version, EXISTS (
    SELECT 1 FROM {3} AS f
    WHERE f.table_id = d.table_id AND f.begin_snapshot <= d.version
      AND (f.end_snapshot IS NULL OR f.end_snapshot > d.version)
)
FROM dated AS d
LEFT JOIN {2} AS g ON g.object_id = d.table_id AND g.key = 'comment'
    AND g.begin_snapshot <= %(version)s AND (g.end_snapshot IS NULL OR g.end_snapshot > %(version)s)
ORDER BY 1, 2
"""
