"""AWS Cost and Usage Reports: amortised cost by line item type, tags of every spelling, no cost twice.

Columns and line item types are those of AWS's CUR 2.0 data dictionary; the rows are invented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import FileScan
from tests.warehouse.bills import Home, csv_bytes, one, parquet_bytes, rows_of, sums
from warehouse.load import LoadResult, load_delivery
from warehouse.store import Warehouse


def row(kind: str = "Usage", cost: str = "10", **values: Any) -> dict[str, Any]:
    plain = {
        "bill_billing_period_start_date": "2026-01-01T00:00:00Z",
        "bill_payer_account_id": "111122223333",
        "bill_billing_entity": "AWS",
        "line_item_currency_code": "USD",
        "line_item_line_item_type": kind,
        "line_item_product_code": "AmazonEC2",
        "line_item_unblended_cost": cost,
        "line_item_usage_account_id": "444455556666",
        "line_item_usage_start_date": "2026-01-02T03:00:00Z",
        "line_item_usage_type": "USE1-BoxUsage:p5.48xlarge",
        "line_item_operation": "RunInstances",
        "line_item_resource_id": "i-0gpu",
        "line_item_usage_amount": "1",
        "pricing_unit": "Hrs",
        "pricing_public_on_demand_cost": "12",
        "reservation_effective_cost": "0",
        "reservation_reservation_a_r_n": "",
        "reservation_unused_amortized_upfront_fee_for_billing_period": "0",
        "reservation_unused_recurring_fee": "0",
        "savings_plan_savings_plan_effective_cost": "0",
        "savings_plan_total_commitment_to_date": "0",
        "savings_plan_used_commitment": "0",
        "product_product_name": "Amazon Elastic Compute Cloud",
        "product_region_code": "us-east-1",
    }
    return plain | values


COSTS = {
    name: pa.float64()
    for name in row()
    if re.search(r"_(cost|recurring_fee|fee_for_billing_period|commitment|commitment_to_date)$", name)
}
FORMS = ["cur.csv", "cur.parquet"]


def load(
    home: Home, wh: Warehouse, rows: Sequence[Mapping[str, Any]], name: str = "cur.csv", **types: Any
) -> LoadResult:
    data = csv_bytes(rows) if name.endswith(".csv") else parquet_bytes(rows, {**COSTS, **types})
    delivery = home.land({name: data}, source="aws", source_type="aws_data_exports", scope="BILLING_PERIOD=2026-01")
    scan = FileScan(
        layout="cur2",
        file_format="csv" if name.endswith(".csv") else "parquet",
        files=tuple(delivery.files.values()),
        columns={column.replace("resourceTags/", "resource_tags."): column for column in rows[0]},
    )
    return load_delivery(wh, delivery, (scan,), now=home.clock)


AMORTISED = [
    (row("Usage", "10"), 10, "Usage", None),
    (
        row("SavingsPlanCoveredUsage", "10", savings_plan_savings_plan_effective_cost="7.5"),
        Decimal("7.5"),
        "Usage",
        "Used",
    ),
    (row("SavingsPlanNegation", "-10"), 0, "Adjustment", None),
    (row("SavingsPlanUpfrontFee", "100"), 0, "Purchase", None),
    (
        row(
            "SavingsPlanRecurringFee",
            "24",
            savings_plan_total_commitment_to_date="24",
            savings_plan_used_commitment="20.5",
        ),
        Decimal("3.5"),
        "Purchase",
        "Unused",
    ),
    (row("DiscountedUsage", "0", reservation_effective_cost="4.25"), Decimal("4.25"), "Usage", "Used"),
    (
        row(
            "RIFee",
            "50",
            reservation_unused_amortized_upfront_fee_for_billing_period="1.5",
            reservation_unused_recurring_fee="2",
        ),
        Decimal("3.5"),
        "Purchase",
        "Unused",
    ),
    (row("Fee", "500", reservation_reservation_a_r_n="arn:aws:ec2:::reserved-instances/x"), 0, "Purchase", None),
    (row("Fee", "5"), 5, "Purchase", None),
    (row("Tax", "2"), 2, "Tax", None),
    (row("Credit", "-3"), -3, "Credit", None),
    (row("Refund", "-1"), -1, "Adjustment", None),
    (row("EdpDiscount", "-0.5"), Decimal("-0.5"), "Adjustment", None),
]


@pytest.mark.parametrize("name", FORMS)
def test_effective_cost_is_aws_amortised_view(home: Home, wh: Warehouse, name: str) -> None:
    rows = [{**item, "line_item_resource_id": f"i-{place:02}"} for place, (item, *_) in enumerate(AMORTISED)]
    load(home, wh, rows, name)
    found = rows_of(
        wh,
        "SELECT billed_cost, effective_cost, charge_category, commitment_discount_status "
        "FROM core.charges ORDER BY resource_id",
    )
    assert found == [
        (Decimal(item["line_item_unblended_cost"]), Decimal(effective), category, status)
        for item, effective, category, status in AMORTISED
    ]


@pytest.mark.parametrize("name", FORMS)
def test_a_commitment_is_conserved(home: Home, wh: Warehouse, name: str) -> None:
    """What a Savings Plan costs is spread over what it covers and what nobody used: 24 = 20.5 + 3.5."""
    load(
        home,
        wh,
        [
            row("SavingsPlanCoveredUsage", "30", savings_plan_savings_plan_effective_cost="20.5"),
            row("SavingsPlanNegation", "-30"),
            row(
                "SavingsPlanRecurringFee",
                "24",
                savings_plan_total_commitment_to_date="24",
                savings_plan_used_commitment="20.5",
            ),
        ],
        name,
    )
    assert sums(wh) == (Decimal(24), Decimal(24))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("operation", ["EKSPod-EC2", "ECSTask-EC2"])
def test_split_rows_do_not_repeat_their_parents_cost(home: Home, wh: Warehouse, name: str, operation: str) -> None:
    result = load(home, wh, [row(), row(line_item_operation=operation), row(line_item_operation=None, cost="1")], name)
    assert sums(wh)[0] == 11
    assert result.source_rows == 2


def test_gpu_hours_count_what_ran(home: Home, wh: Warehouse) -> None:
    rows = [
        row(),
        row("SavingsPlanCoveredUsage"),
        row("SavingsPlanNegation"),
        row("RIFee", line_item_usage_amount="744"),
    ]
    load(home, wh, rows)
    assert one(wh, "SELECT sum(gpu_hours) FROM core.charges") == 16
    assert one(wh, "SELECT DISTINCT gpu_type FROM core.charges") == "H100"


def test_bedrock_by_its_principal(home: Home, wh: Warehouse) -> None:
    load(
        home,
        wh,
        [
            row(
                line_item_usage_type="USE1-MP:USE1_InputTokenCount-Units",
                bill_billing_entity="AWS Marketplace",
                product_product_name="Claude Sonnet 4.5 (Amazon Bedrock Edition)",
                line_item_iam_principal="arn:aws:iam::444455556666:role/support",
                pricing_unit="Units",
            )
        ],
    )
    assert rows_of(wh, "SELECT ai_kind, provider, model, token_type, tokens, api_key_id FROM core.charges") == [
        ("llm_api", "aws", "claude-sonnet-4-5", "input", Decimal(1_000_000), "arn:aws:iam::444455556666:role/support")
    ]


MAP = pa.map_(pa.string(), pa.string())


@pytest.mark.parametrize(
    ("values", "types", "expected"),
    [
        (
            {"resource_tags": [("user_feature", "chat"), ("aws_created_by", "x")]},
            {"resource_tags": MAP},
            {"feature": "chat", "aws_created_by": "x"},
        ),
        ({"resource_tags": '{"user_feature": "chat"}'}, {}, {"feature": "chat"}),
        (
            {"resource_tags": [("user_a", "1")], "cost_category": [("Team", "ml")]},
            {"resource_tags": MAP, "cost_category": MAP},
            {"Team": "ml", "a": "1"},
        ),
        (
            {"resource_tags": None, "cost_category": [("Team", "ml")]},
            {"resource_tags": MAP, "cost_category": MAP},
            {"Team": "ml"},
        ),
        (
            {"tags": [("resourceTags/user:a", "1"), ("accountTag/b", "2")], "resource_tags": [("user_a", "1")]},
            {"tags": MAP, "resource_tags": MAP},
            {"a": "1", "b": "2"},
        ),
        ({"resourceTags/user:Feature": "chat", "resourceTags/user:env": ""}, {}, {"Feature": "chat"}),
        ({"resource_tags": None}, {"resource_tags": MAP}, None),
        ({}, {}, None),
    ],
)
def test_tags(
    home: Home, wh: Warehouse, values: dict[str, Any], types: dict[str, Any], expected: dict[str, str] | None
) -> None:
    load(home, wh, [row(**values)], "cur.parquet", **types)
    text = one(wh, "SELECT tags FROM core.charges")
    assert (json.loads(text) if text else None) == expected


def test_the_products_map_names_the_service(home: Home, wh: Warehouse) -> None:
    item = row(product=[("product_name", "Amazon Bedrock"), ("region_code", "eu-west-1")])
    del item["product_product_name"], item["product_region_code"]
    load(home, wh, [item], "cur.parquet", product=MAP)
    assert rows_of(wh, "SELECT service_name, region_id FROM core.charges") == [("Amazon Bedrock", "eu-west-1")]
