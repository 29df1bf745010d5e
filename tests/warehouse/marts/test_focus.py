"""focus.cost_and_usage against the specification's own list of columns."""

import pyarrow as pa
import pytest

from connectors.focus_columns import COST_COLUMNS, FOCUS_COLUMNS, REMOVED_IN_1_4, TIME_COLUMNS, map_focus_header
from tests.warehouse.ledger import add_charges, build_marts, charge, new_warehouse, rows_of
from warehouse.features import parse_features
from warehouse.store import Warehouse

NUMBERS = {
    *COST_COLUMNS,
    "ConsumedQuantity",
    "PricingQuantity",
    "CommitmentDiscountQuantity",
    "PricingCurrencyEffectiveCost",
}


@pytest.fixture(scope="module")
def wh() -> Warehouse:
    warehouse = new_warehouse()
    add_charges(warehouse, [charge("12.345678901234"), charge(-1, charge_category="Credit")])
    build_marts(warehouse, parse_features("version: 1"))
    return warehouse


def test_the_columns_are_those_of_1_2_and_ours_begin_with_x(wh: Warehouse) -> None:
    columns = wh.con.execute("SELECT * FROM focus.cost_and_usage").to_arrow_table().column_names
    wanted = {name for name, version in FOCUS_COLUMNS.items() if version in ("0.5", "1.0", "1.1", "1.2")}
    assert set(REMOVED_IN_1_4) <= wanted
    assert {name for name in columns if not name.startswith("x_")} == wanted
    assert len(wanted) == 57


def test_the_types_are_those_of_the_specification(wh: Warehouse) -> None:
    schema = wh.con.execute("SELECT * FROM focus.cost_and_usage").to_arrow_table().schema
    for field in schema:
        if field.name.startswith("x_"):
            continue
        if field.name in TIME_COLUMNS:
            assert pa.types.is_timestamp(field.type), field
        elif field.name in NUMBERS or field.name.endswith("UnitPrice"):
            assert field.type == pa.decimal128(38, 12), field
        else:
            assert pa.types.is_string(field.type), field


def test_what_we_write_is_what_we_read(wh: Warehouse) -> None:
    columns = wh.con.execute("SELECT * FROM focus.cost_and_usage").to_arrow_table().column_names
    assert map_focus_header(columns, where="focus.cost_and_usage").version == "1.2"


def test_every_charge_is_there_to_the_last_digit(wh: Warehouse) -> None:
    found = rows_of(wh.con, "SELECT sum(BilledCost) AS billed, count(*) AS n FROM focus.cost_and_usage")
    assert found == rows_of(wh.con, "SELECT sum(billed_cost) AS billed, count(*) AS n FROM core.charges")
