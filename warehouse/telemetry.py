"""What the build derives from calls before anything else: which reports count, tasks, and users' months.

It lives in the staging file, beside the calls, because it names tasks and hashed users: the file that is
published never holds it. One transaction writes to one file, so it is committed before the build's own; a
build that fails later leaves it standing, and the next one makes it anew from the same calls.
"""

from __future__ import annotations

from warehouse.model_runner import CheckResult, order_models, read_models, run_checks, run_models
from warehouse.statements import render
from warehouse.store import Warehouse


def derive_tasks(wh: Warehouse) -> list[CheckResult]:
    """Mark calls that are reported twice, over all sources, then build the staging models and run their checks.

    The result depends on what is staged only, not on the order in which it was loaded. Raises ModelError
    or CheckError; the staging file then stands as before.
    """
    con = wh.con
    with wh.transaction():
        con.execute(render("telemetry/suspects.sql"))
        con.execute(render("telemetry/duplicates.sql"))
        for is_duplicate in (True, False):
            con.execute(render("telemetry/mark.sql", is_duplicate=is_duplicate))
        for table in ("suspect_calls", "duplicate_calls"):
            con.execute(render("load/drop_temporary.sql", table=table))
        models = order_models(con, read_models(schemas=("staging",)))
        run_models(con, models)
        return run_checks(con, models)
