"""What two published snapshots must have in common to say the same."""

import hashlib
from pathlib import Path

import duckdb


def checksums_of(published: Path) -> dict[str, tuple[int, str]]:
    """Table → rows and a hash of the sorted rows, for everything that is promised to readers."""
    with duckdb.connect(str(published), read_only=True) as con:
        tables = con.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_schema IN ('core', 'marts', 'focus') "
            "OR (table_schema = 'ops' AND table_name IN ('deliveries', 'delivery_days', 'restatements', 'settled'))"
        ).fetchall()
        found = {}
        for (table,) in tables:
            rows = con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
            found[table] = (len(rows), hashlib.sha256(repr(rows).encode()).hexdigest())
        return found
