"""What the build derives from calls before anything else: which reports count, tasks, and users' months.

It lives in the staging file, beside the calls, because it names tasks and hashed users: the file that is
published never holds it. One transaction writes to one file, so it is committed before the build's own. A build
that fails or is killed in between leaves it standing, which nobody sees: what is published holds none of it, and the
next build makes it anew from the calls before its models read it.

In a lake another process may load calls in between, which nobody has looked at yet: `is_derived` tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse.model_runner import CheckResult, order_models, read_models, run_checks, run_models
from warehouse.statements import render
from warehouse.store import Warehouse

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Derived:
    """What the checks found, and of which staged deliveries the tasks were made."""

    check_results: list[CheckResult]
    deliveries: tuple[int, int]


def derive_tasks(wh: Warehouse) -> Derived:
    """Mark calls that are reported twice, over all sources, then build the staging models and run their checks.

    The result depends on what is staged only, not on the order in which it was loaded. Raises ModelError
    or CheckError; the staging file then stands as before.
    """
    return wh.commit(lambda: derive_within(wh.con))


def derive_within(con: duckdb.DuckDBPyConnection) -> Derived:
    """The same, in the caller's transaction."""
    con.execute(render("telemetry/suspects.sql"))
    con.execute(render("telemetry/duplicates.sql"))
    for is_duplicate in (True, False):
        con.execute(render("telemetry/mark.sql", is_duplicate=is_duplicate))
    for table in ("suspect_calls", "duplicate_calls"):
        con.execute(render("load/drop_temporary.sql", table=table))
    models = order_models(con, read_models(schemas=("staging",)))
    run_models(con, models)
    return Derived(run_checks(con, models), _staged_deliveries(con))


def is_derived(con: duckdb.DuckDBPyConnection, derived: Derived) -> bool:
    """Whether the calls are still those that the tasks were made of."""
    return _staged_deliveries(con) == derived.deliveries


def _staged_deliveries(con: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Their number, and a sum of their hashes: loading, forgetting or renaming one changes it."""
    row = con.execute("SELECT count(*), coalesce(sum(hash(d)), 0) FROM staging.staged_deliveries AS d").fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
