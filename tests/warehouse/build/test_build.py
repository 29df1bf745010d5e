"""A build adds up to the last digit or does not happen."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.bills import NOW, Home, charge_rows, everything, focus_row, one, rows_of
from tests.warehouse.build.small_run import FEATURES, run_round
from warehouse import model_runner
from warehouse.build import BuildResult, build
from warehouse.errors import CheckError, ModelError, ReconciliationError
from warehouse.store import Warehouse


def build_it(wh: Warehouse, **settled: date) -> BuildResult:
    return build(
        wh,
        features=FEATURES,
        run_id="run-1",
        now=NOW,
        as_of=date(2026, 2, 3),
        settled_through=settled or {"drop": date(2026, 1, 20)},
    )


@pytest.fixture
def loaded(home: Home, wh: Warehouse) -> Warehouse:
    home.load_focus(wh, [focus_row(day, "0.1") for day in range(1, 11)])
    home.load_rows(wh, charge_rows({"billed_cost": Decimal("0.333333333333"), "effective_cost": Decimal("0.1")}))
    return wh


def test_every_layer_is_compared_and_the_comparison_is_kept(loaded: Warehouse) -> None:
    result = build_it(loaded)
    assert {one.step for one in result.reconciliations} == {"load", "allocate", "mart"}
    assert all(one.is_equal for one in result.reconciliations)
    compared = {(one.step, one.source_name, one.measure): one.expected for one in result.reconciliations}
    assert compared["load", "drop", "effective_cost"] == Decimal(1)
    assert compared["load", "drop", "rows"] == 10
    assert compared["allocate", "openai", "billed_cost"] == Decimal("0.333333333333")
    assert compared["mart", None, "effective_cost_usd"] == Decimal("1.1")
    build_it(loaded)  # as after a commit whose answer was lost
    assert one(loaded, "SELECT count(*) FROM ops.reconciliations WHERE run_id = 'run-1' AND is_equal") == len(
        result.reconciliations
    )


def test_the_second_build_changes_nothing_that_readers_see(loaded: Warehouse) -> None:
    first = build_it(loaded)
    again = build_it(loaded)
    assert (first.changed, again.changed) == (True, False)
    assert build_it(loaded, drop=date(2026, 1, 5)).changed  # other days are settled now


def test_settled_days_are_what_models_read(loaded: Warehouse) -> None:
    build_it(loaded, drop=date(2026, 1, 5), openai=date(2026, 12, 31))
    assert rows_of(loaded, "SELECT source_name, settled_through FROM ops.settled ORDER BY ALL") == [
        ("drop", date(2026, 1, 5)),
        ("openai", date(2026, 2, 3)),  # no day after the run's own is settled
    ]


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        ("DELETE FROM core.charge_amounts WHERE charge_date = '2026-01-03'", "drop, USD, 2026-01-03"),
        (
            "UPDATE core.charge_amounts SET effective_cost = effective_cost + 1e-12::DECIMAL(38, 12) "
            "WHERE charge_date = '2026-01-04'",
            "drop, USD, 2026-01-04",
        ),
        (
            "INSERT INTO core.charge_amounts SELECT * FROM core.charge_amounts WHERE charge_date = '2026-01-05'",
            "drop, USD, 2026-01-05",
        ),
        (
            "INSERT INTO core.charge_dimensions BY NAME "
            "SELECT * REPLACE (-charge_group AS charge_group, 'EUR' AS billing_currency) FROM core.charge_dimensions; "
            "INSERT INTO core.charge_amounts BY NAME SELECT * REPLACE (-charge_group AS charge_group) "
            "FROM core.charge_amounts WHERE charge_date = '2026-01-06'",
            "drop, EUR, 2026-01-06",
        ),
    ],
)
def test_a_difference_stops_the_build_and_says_where(loaded: Warehouse, damage: str, where: str) -> None:
    build_it(loaded)
    loaded.con.execute(damage)
    before = {**everything(loaded), "marts": rows_of(loaded, "SELECT * FROM marts.feature_cost_daily ORDER BY ALL")}
    with pytest.raises(ReconciliationError) as caught:
        build_it(loaded, drop=date(2026, 1, 6))
    assert str(caught.value).startswith(f"source → core.charges, {where}: ")
    after = {**everything(loaded), "marts": rows_of(loaded, "SELECT * FROM marts.feature_cost_daily ORDER BY ALL")}
    assert after == before


def test_an_empty_warehouse_builds(wh: Warehouse) -> None:
    result = build_it(wh)
    assert result.reconciliations == ()
    assert one(wh, "SELECT count(*) FROM marts.feature_cost_daily") == 0


def test_a_whole_run_again_changes_nothing(tmp_path: Path) -> None:
    assert run_round(str(tmp_path), 0).changed
    with Home(tmp_path).open() as wh:
        before = everything(wh)
    assert not run_round(str(tmp_path), 0).changed
    with Home(tmp_path).open() as wh:
        after = everything(wh)
    for table in before.keys() - {"ops.reconciliations"}:
        assert after[table] == before[table], table


# ----------------------------------------------------------------------------------------- the runner


def write(folder: Path, **models: str) -> list[model_runner.Model]:
    for name, text in models.items():
        schema, _, stem = name.partition("__")
        path = folder / schema / f"{stem}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return model_runner.read_models(folder, ("core", "marts", "focus"))


def test_models_run_after_what_they_read(wh: Warehouse, tmp_path: Path) -> None:
    models = write(
        tmp_path,
        marts__a="-- A.\nSELECT * FROM marts.b JOIN core.c USING (x)",
        marts__b="-- B.\nWITH y AS (SELECT x FROM core.c) SELECT * FROM y",
        core__c="-- C.\nSELECT 1 AS x, (SELECT count(*) FROM core.charges) AS n;",
    )
    ordered = model_runner.order_models(wh.con, models)
    assert [model.table for model in ordered] == ["core.c", "marts.b", "marts.a"]
    assert model_runner.downstream(wh.con, models, "core.c") == {"marts.a", "marts.b"}
    model_runner.run_models(wh.con, ordered)
    assert one(wh, "SELECT x FROM marts.a") == 1


def test_models_in_a_circle(wh: Warehouse, tmp_path: Path) -> None:
    models = write(tmp_path, marts__a="-- A.\nSELECT * FROM marts.b", marts__b="-- B.\nSELECT * FROM marts.a")
    with pytest.raises(ModelError, match="in a circle: marts"):
        model_runner.order_models(wh.con, models)


def test_the_header_becomes_the_comment(wh: Warehouse, tmp_path: Path) -> None:
    text = """-- What it is.
--
-- Grain: one row.
-- Columns:
--   x: a number
--     of two lines
--   y: it's a text
SELECT 1 AS x, 'b' AS y, 2 AS z
"""
    [model] = write(tmp_path, marts__a=text)
    model_runner.build_model(wh.con, model)
    assert one(wh, "SELECT comment FROM duckdb_tables() WHERE table_name = 'a'") == "What it is.\n\nGrain: one row."
    assert rows_of(
        wh, "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'a' ORDER BY column_index"
    ) == [("x", "a number of two lines"), ("y", "it's a text"), ("z", None)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1", "begins with a comment"),
        ("-- A.\n", "no SELECT"),
        ("-- A.\nSELEC 1", "cannot be parsed"),
        ("-- A.\nSELECT * FROM core.nothing", "nothing does not exist"),
        ("-- A.\n-- Columns:\n--   q: what\nSELECT 1 AS x", "describes a column 'q'"),
    ],
)
def test_a_model_that_is_none(wh: Warehouse, tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        model_runner.run_models(wh.con, model_runner.order_models(wh.con, write(tmp_path, marts__a=text)))


def checked(wh: Warehouse, folder: Path, checks: str) -> list[model_runner.CheckResult]:
    models = write(folder, marts__a="-- A.\nSELECT unnest(range(5)) AS x")
    (folder / "marts" / "a.checks.sql").write_text(checks)
    model_runner.run_models(wh.con, models)
    return model_runner.run_checks(wh.con, models)


def test_checks_report_and_fail(wh: Warehouse, tmp_path: Path) -> None:
    warn = "-- warn: x is large\nSELECT x FROM marts.a WHERE x > 0;\n"
    fine = "\n-- a remark\n-- fail: x is negative\nSELECT x FROM marts.a\n-- no such row\nWHERE x < 0\n"
    results = checked(wh, tmp_path, warn + fine)
    assert [(one.table, one.level, one.text, one.rows, one.ok) for one in results] == [
        ("marts.a", "warn", "x is large", 4, False),
        ("marts.a", "fail", "x is negative", 0, True),
    ]
    assert results[0].shown == ("x 1", "x 2", "x 3")
    with pytest.raises(CheckError, match=r"marts\.a: x is odd: 2 rows \(x 1; x 3\)"):
        checked(wh, tmp_path, warn + "-- fail: x is odd\nSELECT x FROM marts.a WHERE x % 2 = 1")


@pytest.mark.parametrize(
    ("checks", "problem"),
    [
        ("SELECT 1", "before the first"),
        ("-- fail: nothing\n", "has no SELECT"),
        ("-- fail: wrong\nSELECT nonsense", "check of marts.a: wrong"),
    ],
)
def test_a_check_that_is_none(wh: Warehouse, tmp_path: Path, checks: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        checked(wh, tmp_path, checks)


def test_a_failing_check_rolls_the_build_back(
    loaded: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_it(loaded)
    before = rows_of(loaded, "SELECT * FROM marts.feature_cost_daily ORDER BY ALL")

    def with_a_bad_check(model: Any) -> list[model_runner.Check]:
        return [model_runner.Check(model.table, "fail", "never right", "SELECT 1 AS x")]

    monkeypatch.setattr(model_runner, "read_checks", with_a_bad_check)
    with pytest.raises(CheckError, match="never right"):
        build_it(loaded, drop=date(2026, 1, 2))
    assert rows_of(loaded, "SELECT * FROM marts.feature_cost_daily ORDER BY ALL") == before
    assert one(loaded, "SELECT settled_through FROM ops.settled") == date(2026, 1, 20)


def test_currencies_stay_apart_up_to_the_dollar(home: Home, wh: Warehouse) -> None:
    rows = [focus_row(1, "10"), focus_row(1, "10", BillingCurrency="EUR"), focus_row(2, "7", BillingCurrency="JPY")]
    rates = [("EUR", date(2025, 1, 1), Decimal("1.123456789")), ("JPY", date(2025, 1, 1), Decimal("0.0066"))]
    home.load_focus(wh, rows, rates=rates)
    result = build_it(wh)
    compared = {(one.step, one.billing_currency, one.measure): one.actual for one in result.reconciliations}
    assert compared["allocate", "EUR", "effective_cost"] == 10
    assert compared["allocate", "EUR", "effective_cost_usd"] == Decimal("11.23456789")
    assert compared["mart", None, "effective_cost_usd"] == Decimal("21.23456789") + Decimal("0.0462")
