"""Every file under cases/<model>/ is one situation: what stands in core, and what the model must say.

charges, calls   rows as tests.warehouse.ledger writes them
features         the content of features.yml, without its version
settled          source → its last settled day
due              source → the day it would be if it were not late
settle_days      source → days until a day is settled; the run's day is 2026-06-01
commitments      prepaid credits and commitments to spend
invoices         rows of the state store's invoices
sql              statements that put other rows in place
expect           table, or `query NAME` for a canned query → rows; the columns that a row names are compared, and no row
                 may be missing or extra
warnings         texts of the model's own `warn` checks that must find something; no other may
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.warehouse.ledger import add_calls, add_charges, build_marts, charge, new_warehouse, rows_of
from warehouse.features import parse_features
from warehouse.model_runner import MODELS, read_models
from warehouse.query import canned

CASES = Path(__file__).parent / "cases"
FILES = sorted(CASES.glob("*/*.yml"))
MODELS_READ = read_models()


def normal(value: Any) -> str:
    """Numbers by value, everything else by text."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float | Decimal):
        return format(Decimal(str(value)).normalize(), "f")
    return str(value)


@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}-{path.stem}" for path in FILES])
def test_a_case(path: Path) -> None:
    case = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    wh = new_warehouse()
    add_charges(wh, [charge(**{"cost": row.pop("cost", None), **row}) for row in case.get("charges", ())])
    add_calls(wh, case.get("calls", ()))
    for statement in case.get("sql", ()):
        wh.con.execute(statement)
    features = parse_features(yaml.safe_dump({"version": 1, **case.get("features", {})}))
    result = build_marts(
        wh,
        features,
        settled_through=case.get("settled"),
        due_through=case.get("due"),
        settle_days=case.get("settle_days"),
        invoices=case.get("invoices", ()),
        commitments=case.get("commitments", ()),
    )
    for table, expected in case.get("expect", {}).items():
        names = sorted({name for row in expected for name in row})
        columns = ", ".join(f'"{name}"' for name in names) or "*"
        read = f"({canned()[table.removeprefix('query ')][1]})" if table.startswith("query ") else table
        found = rows_of(wh.con, f"SELECT {columns} FROM {read}")
        told = sorted([{name: normal(row.get(name)) for name in names} for row in expected], key=str)
        assert sorted([{name: normal(row[name]) for name in names} for row in found], key=str) == told
    [table] = [model.table for model in MODELS_READ if model.name == path.parent.name]
    warned = [check.text for check in result.check_results if check.table == table and not check.ok]
    assert warned == case.get("warnings", [])


def test_every_mart_has_a_case_a_header_and_checks() -> None:
    for model in read_models(schemas=("marts", "focus")):
        assert list((CASES / model.name).glob("*.yml")), f"{model.table} has no case"
        assert model.path.with_name(f"{model.name}.checks.sql").is_file()
        for part in ("Grain:", "Units:"):
            assert part in model.comment, f"{model.table} does not state its {part}"
    assert {path.parent.name for path in FILES} <= {path.stem for path in MODELS.glob("*/*.sql")}


def test_the_columns_that_headers_describe_are_commented() -> None:
    wh = new_warehouse()
    add_charges(wh, [charge(1)])
    build_marts(wh, parse_features("version: 1"))
    comments = rows_of(
        wh.con,
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'feature_cost_daily' AND column_name = 'is_settled'",
    )
    assert "final" in comments[0]["comment"]
    bare = rows_of(
        wh.con, "SELECT table_name FROM duckdb_tables() WHERE schema_name IN ('marts', 'focus') AND comment IS NULL"
    )
    assert bare == []
