"""focus.cost_and_usage against the specification's own list of columns."""

import pytest

from connectors.focus_columns import FOCUS_COLUMNS, REMOVED_IN_1_4, map_focus_header
from tests.warehouse.ledger import add_charges, build_marts, charge, new_warehouse, rows_of
from warehouse.features import parse_features
from warehouse.store import Warehouse

# The columns of FOCUS 1.2, by the type that the specification gives them (String and JSON are texts here).
DECIMALS = frozenset(
    {
        "BilledCost", "CommitmentDiscountQuantity", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice",
        "EffectiveCost", "ListCost", "ListUnitPrice", "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity"
    }
)  # fmt: skip
TIMES = frozenset(
    {
        "BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"
    }
)  # fmt: skip
TEXTS = frozenset(
    {
        "AvailabilityZone", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
        "CapacityReservationId", "CapacityReservationStatus", "ChargeCategory", "ChargeClass",
        "ChargeDescription", "ChargeFrequency", "CommitmentDiscountCategory", "CommitmentDiscountId",
        "CommitmentDiscountName", "CommitmentDiscountStatus", "CommitmentDiscountType",
        "CommitmentDiscountUnit", "ConsumedUnit", "InvoiceId", "InvoiceIssuerName", "PricingCategory",
        "PricingCurrency", "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName",
        "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory",
        "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName",
        "SubAccountType", "Tags"
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def wh() -> Warehouse:
    warehouse = new_warehouse()
    add_charges(warehouse, [charge("12.345678901234"), charge(-1, charge_category="Credit")])
    build_marts(warehouse, parse_features("version: 1"))
    return warehouse


def test_the_names_and_types_are_those_of_1_2_and_ours_begin_with_x(wh: Warehouse) -> None:
    """In whatever order; FOCUS orders none."""
    described = wh.con.execute("DESCRIBE focus.cost_and_usage").fetchall()
    found = {row[0]: row[1] for row in described if not row[0].startswith("x_")}
    assert found == {
        **dict.fromkeys(DECIMALS, "DECIMAL(38,12)"),
        **dict.fromkeys(TIMES, "TIMESTAMP"),
        **dict.fromkeys(TEXTS, "VARCHAR"),
    }
    assert len(found) == 57
    assert len({row[0].lower() for row in described}) == len(described)


def test_what_is_read_as_1_2_is_what_is_written(wh: Warehouse) -> None:
    wanted = {name for name, version in FOCUS_COLUMNS.items() if version in ("0.5", "1.0", "1.1", "1.2")}
    assert set(REMOVED_IN_1_4) <= wanted
    assert wanted == {*DECIMALS, *TIMES, *TEXTS}


def test_what_we_write_is_what_we_read(wh: Warehouse) -> None:
    columns = wh.con.execute("SELECT * FROM focus.cost_and_usage").to_arrow_table().column_names
    assert map_focus_header(columns, where="focus.cost_and_usage").version == "1.2"


def test_every_charge_is_there_to_the_last_digit(wh: Warehouse) -> None:
    found = rows_of(wh.con, "SELECT sum(BilledCost) AS billed, count(*) AS n FROM focus.cost_and_usage")
    assert found == rows_of(wh.con, "SELECT sum(billed_cost) AS billed, count(*) AS n FROM core.charges")
