"""From loaded charges to marts that add up: one transaction, and nothing of it stays when it fails.

    duplicates and tasks of the telemetry (staging; a transaction of its own), then
    settled days, features → models before allocation → allocate → models → checks → reconcile

Σ source = Σ core.charges = Σ core.allocations = Σ marts, per source, currency and day, to the last
digit. A mismatch raises and says where; readers keep what was published before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from warehouse.allocate import allocate
from warehouse.books import book_corrections, no_books, write_books
from warehouse.commitments import Commitment, write_commitments
from warehouse.errors import ReconciliationError
from warehouse.features import POOL_PREFIX
from warehouse.gpu_devices import name_gpu_models
from warehouse.model_runner import CheckResult, downstream, order_models, read_models, run_checks, run_models
from warehouse.prices import PriceBook
from warehouse.prices.tables import apply_prices
from warehouse.rule_changes import RuleMove, RuleMoveDay, compare_rules
from warehouse.statements import render
from warehouse.store import Warehouse
from warehouse.telemetry import Derived, derive_tasks, derive_within, is_derived

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from warehouse.features import Features


@dataclass(frozen=True)
class Reconciliation:
    """One comparison of two layers: `expected` is what the layer before adds up to."""

    step: str  # load | allocate | mart | close
    source_name: str | None
    billing_currency: str | None
    measure: str
    expected: Decimal | None
    actual: Decimal | None

    @property
    def is_equal(self) -> bool:
        return self.expected == self.actual


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    `changed`: whether any table that readers see differs from the one before. `data_through`: the newest
    day that all features whose sources are on time have settled; reports and canned queries count to it.
    """

    reconciliations: tuple[Reconciliation, ...]
    check_results: tuple[CheckResult, ...]
    changed: bool
    rule_moves: tuple[RuleMove, ...] = ()
    data_through: date | None = None
    rule_move_days: tuple[RuleMoveDay, ...] = ()
    boundary_move_days: tuple[RuleMoveDay, ...] = ()
    corrections: tuple[dict[str, Any], ...] = ()  # newly booked: rows of the state store's corrections


def build(
    wh: Warehouse,
    *,
    features: Features,
    run_id: str,
    now: datetime,
    as_of: date,
    settled_through: Mapping[str, date],
    settle_days: Mapping[str, int] | None = None,
    old_features: Features | None = None,
    unbounded_features: Features | None = None,
    due_through: Mapping[str, date] | None = None,
    prices: PriceBook | None = None,
    books: Mapping[str, pa.Table] | None = None,
    commitments: Iterable[Commitment] = (),
) -> BuildResult:
    """Rebuild allocations and models from core, check and reconcile them.

    `settled_through`: source name → its last settled day, which models read for is_settled; a day
    after `as_of` never counts. `due_through`: the day it would be if the source were not late (default:
    it is not). `settle_days`: configured source → days until its days are settled, by which
    marts.freshness tells what is late. `old_features`: the rules of the build before, where they were
    others; the result says what the change moves. `unbounded_features`: the present rules without what began or
    ended to hold of late, where something did; the result says what that moves. `prices`: what tokens cost; list
    prices by default.
    `books`: the state store's tables of closed months (warehouse.books); what is booked new is in the result.
    `commitments`: prepaid credits and commitments to spend, for marts.commitments.

    Raises ReconciliationError, CheckError or ModelError; the warehouse
    then stands as before.
    """
    con = wh.con
    derived = derive_tasks(wh)

    def build_models(derived: Derived) -> BuildResult:
        if not is_derived(con, derived):  # a lake, into which another process has loaded calls since
            derived = derive_within(con)
        before = _fingerprint(con)
        _write_settled(con, settled_through, due_through or {}, as_of)
        con.execute(render("build/write_sources.sql"), {"settle_days": dict(settle_days or {}), "as_of": as_of})
        features.apply_tables(con)
        apply_prices(con, prices or PriceBook())
        models = order_models(con, read_models())
        late = downstream(con, models, "core.allocations") | downstream(con, models, "core.corrections")
        name_gpu_models(con, as_of)
        write_commitments(con, commitments)
        write_books(con, books if books is not None else no_books())
        # Splits by telemetry read core.usage: what does not need allocations is built before them.
        run_models(con, [model for model in models if model.table not in late])
        moves: list[RuleMove] = []
        move_days: list[RuleMoveDay] = []
        boundary_move_days: list[RuleMoveDay] = []
        if unbounded_features is not None:
            _, boundary_move_days = compare_rules(wh, unbounded_features, features)
        if old_features is not None:
            moves, move_days = compare_rules(wh, old_features, features)
        elif unbounded_features is None:
            allocate(wh, features)
        corrections = book_corrections(con, as_of=as_of, now=now, moved={move.month for move in moves})
        run_models(con, [model for model in models if model.table in late])
        data_through = _write_reported(con, as_of)
        check_results = [*derived.check_results, *run_checks(con, models)]
        reconciliations = reconcile(con)
        _record(con, reconciliations, run_id, now)
        changed = before != _fingerprint(con)
        return BuildResult(
            tuple(reconciliations),
            tuple(check_results),
            changed,
            tuple(moves),
            data_through,
            tuple(move_days),
            tuple(boundary_move_days),
            tuple(corrections),
        )

    return wh.commit(lambda: build_models(derived), "models")


def reconcile(con: duckdb.DuckDBPyConnection) -> list[Reconciliation]:
    """Compare the layers. Raises ReconciliationError for the first day that differs, naming the step."""
    for step in _STEPS:
        row = con.execute(render(f"build/reconcile_{step}.sql", grain="day")).fetchone()
        if row is not None:
            source, currency, day, measure, expected, actual = row
            raise ReconciliationError(
                f"{measure} is {actual}, it must be {expected}",
                where=", ".join(str(part) for part in (_STEPS[step], source, currency, day) if part is not None),
                cure="nothing was built; report it with this line"
                if step != "load"
                else "load the source's deliveries anew",
            )
    return [
        Reconciliation(step, source, currency, measure, expected, actual)
        for step in _STEPS
        for source, currency, _, measure, expected, actual in con.execute(
            render(f"build/reconcile_{step}.sql", grain="total")
        ).fetchall()
    ]


_STEPS = {
    "load": "source → core.charges",
    "allocate": "core.charges → core.allocations",
    "mart": "core.allocations → marts.feature_cost_daily",
    "close": "core.allocations → closed months and their corrections",
}


def _write_settled(
    con: duckdb.DuckDBPyConnection, settled_through: Mapping[str, date], due_through: Mapping[str, date], as_of: date
) -> None:
    con.execute("DELETE FROM ops.settled")
    for source_name, day in sorted(settled_through.items()):
        due = max(due_through.get(source_name, day), day)
        con.execute("INSERT INTO ops.settled VALUES (?, ?, ?)", [source_name, min(day, as_of), min(due, as_of)])


def _write_reported(con: duckdb.DuckDBPyConnection, as_of: date) -> date | None:
    con.execute(render("build/write_reported.sql"), {"as_of": as_of, "pool": POOL_PREFIX})
    row = con.execute("SELECT data_through FROM ops.reported").fetchone()
    return row[0] if row else None


def _record(con: duckdb.DuckDBPyConnection, reconciliations: list[Reconciliation], run_id: str, now: datetime) -> None:
    # A lake's commit can succeed while its answer is lost; the build is then made again.
    con.execute("DELETE FROM ops.reconciliations WHERE run_id = ?", [run_id])
    for one in reconciliations:
        con.execute(
            "INSERT INTO ops.reconciliations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                run_id,
                now,
                one.step,
                one.source_name,
                one.billing_currency,
                one.measure,
                one.expected,
                one.actual,
                one.is_equal,
            ],
        )


def _fingerprint(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """Table → (rows, a sum of their hashes): equal when the tables hold the same rows in any order."""
    tables = con.execute(render("build/reader_tables.sql")).fetchall()
    found = {}
    for schema, table in tables:
        row = con.execute(render("build/fingerprint.sql", schema=schema, table=table)).fetchone()
        found[f"{schema}.{table}"] = (int(row[0]), int(row[1] or 0)) if row else (0, 0)
    return found
