"""AWS Cost and Usage Reports: amortised cost by line item type, tags of every spelling, no cost twice.

Columns and line item types are those of AWS's CUR 2.0 data dictionary; the rows are invented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import FileScan
from tests.warehouse.bills import Home, csv_bytes, one, parquet_bytes, rows_of, sums
from warehouse.allocate import allocate
from warehouse.errors import LoadError
from warehouse.features import parse_features
from warehouse.load import LoadResult, load_delivery
from warehouse.store import Warehouse
from warehouse.terms import COUNTED, Terms
from warehouse.watermarks import charges_to_come, spoken_through


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
    home: Home,
    wh: Warehouse,
    rows: Sequence[Mapping[str, Any]],
    name: str = "cur.csv",
    terms: Terms = COUNTED,
    tag_keys: Sequence[str] | None = None,
    **types: Any,
) -> LoadResult:
    data = csv_bytes(rows) if name.endswith(".csv") else parquet_bytes(rows, {**COSTS, **types})
    delivery = home.land({name: data}, source="aws", source_type="aws_data_exports", scope="BILLING_PERIOD=2026-01")
    scan = FileScan(
        layout="cur2",
        file_format="csv" if name.endswith(".csv") else "parquet",
        files=tuple(delivery.files.values()),
        columns={column.replace("resourceTags/", "resource_tags."): column for column in rows[0]},
    )
    return load_delivery(wh, delivery, (scan,), now=home.clock, terms=terms, tag_keys=tag_keys)


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


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("SavingsPlanCoveredUsage", "savings_plan_savings_plan_effective_cost"),
        ("SavingsPlanRecurringFee", "savings_plan_used_commitment"),
        ("DiscountedUsage", "reservation_effective_cost"),
        ("RIFee", "reservation_unused_recurring_fee"),
    ],
)
def test_a_report_without_the_column_that_tells_what_a_commitment_costs(
    home: Home, wh: Warehouse, kind: str, missing: str
) -> None:
    def without(*rows: dict[str, Any]) -> list[dict[str, Any]]:
        return [{name: cell for name, cell in item.items() if name != missing} for item in rows]

    load(home, wh, without(row()))  # nothing of it is asked for
    with pytest.raises(
        LoadError, match=rf"^cur\.csv, row 2, line 3, column {missing}: is missing.* type {kind} need it"
    ):
        load(home, wh, without(row(), row(kind, "5")))
    assert sums(wh) == (Decimal(10), Decimal(10))


def test_reservations_without_an_upfront_payment_need_no_column_of_unused_upfront_fees(
    home: Home, wh: Warehouse
) -> None:
    item = row("RIFee", "50", reservation_unused_recurring_fee="2")
    load(home, wh, [{name: cell for name, cell in item.items() if "upfront" not in name}])
    assert sums(wh) == (50, 2)


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


def block_fee(cost: str, **values: Any) -> dict[str, Any]:
    """A Capacity Block bought on the 20th: two p5.48xlarge for three days from the 30th."""
    bought = {
        "line_item_usage_type": "USE2-CapacityBlockFee:p5.48xlarge",
        "line_item_resource_id": "cr-0block",
        "line_item_usage_start_date": "2026-01-20T12:00:00Z",
        "line_item_usage_end_date": "2026-01-20T13:00:00Z",
        "reservation_start_time": "2026-01-30T11:30:00Z",
        "reservation_end_time": "2026-02-02T11:30:00Z",
    }
    return row("Fee", cost) | bought | values


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("arn", ["", "arn:aws:ec2:us-east-2:1:capacity-reservation/cr-0block"])
def test_a_capacity_block_costs_what_its_hours_cost(home: Home, wh: Warehouse, name: str, arn: str) -> None:
    bought = [block_fee("4500.000000000007"), block_fee("2700", line_item_usage_start_date="2026-01-20T15:00:00Z")]
    bought = [{**fee, "reservation_reservation_a_r_n": arn} for fee in bought]
    usage = [
        row(line_item_usage_start_date=f"2026-01-{day}T03:00:00Z", line_item_usage_end_date="") for day in (21, 31)
    ]
    ran = [{**one_day, "reservation_start_time": "", "reservation_end_time": ""} for one_day in usage]
    result = load(home, wh, [*bought, *ran[:1]], name)
    assert result.notes == ()
    assert rows_of(wh, "SELECT charge_date, billed_cost FROM core.charges WHERE billed_cost <> 0 ORDER BY 1") == [
        (date(2026, 1, 20), Decimal("7200.000000000007")),
        (date(2026, 1, 21), Decimal(10)),
    ]
    block = "SELECT charge_date, sum(effective_cost) FROM core.charges WHERE resource_id = 'cr-0block'"
    assert rows_of(wh, f"{block} GROUP BY ALL ORDER BY ALL") == [
        (date(2026, 1, 20), 0),
        (date(2026, 1, 30), Decimal("1250.000000000001")),
        (date(2026, 1, 31), Decimal("2400.000000000002")),
        (date(2026, 2, 1), Decimal("2400.000000000002")),
        (date(2026, 2, 2), Decimal("1150.000000000002")),
    ]
    # What is spread over days to come says of none of them that its charges are there, and is in no mart before.
    assert spoken_through(wh, as_of=date(2026, 2, 3)) == {"aws": date(2026, 1, 21)}
    assert charges_to_come(wh, after=date(2026, 1, 22)) == []
    allocate(wh, parse_features("version: 1\nfeatures: {}\n"))
    assert one(wh, "SELECT max(charge_date) FROM core.allocations") == date(2026, 1, 21)
    again = load(home, wh, [*bought, *ran], name)
    assert (again.restatements, again.source_rows) == (0, 4)
    allocate(wh, parse_features("version: 1\nfeatures: {}\n"))
    assert one(wh, "SELECT sum(effective_cost) FROM core.allocations") == Decimal("3670.000000000003")
    # A fee that is dated ahead counts, and brings no day of the block with it.
    ahead = row("Fee", "3", line_item_usage_start_date="2027-06-01T00:00:00Z", line_item_usage_end_date="")
    load(home, wh, [*bought, *ran, ahead | {"reservation_start_time": "", "reservation_end_time": ""}], name)
    allocate(wh, parse_features("version: 1\nfeatures: {}\n"))
    assert one(wh, "SELECT sum(effective_cost) FROM core.allocations") == Decimal("3673.000000000003")


def test_a_capacity_block_without_hours_stands_on_its_day_and_a_sources_end_cuts_it(home: Home, wh: Warehouse) -> None:
    nameless = block_fee("90", reservation_start_time="", reservation_end_time="")
    result = load(home, wh, [nameless, row()])
    assert sums(wh) == (100, 100)
    assert result.notes == (
        "1 Capacity Block fee names no hours but those of the purchase: its effective cost stands on that day",
    )
    own_hours = {
        "line_item_usage_start_date": "2026-01-31T00:00:00Z",
        "line_item_usage_end_date": "2026-02-03T00:00:00Z",
    }
    load(home, wh, [nameless | own_hours], terms=Terms(until=date(2026, 2, 2)))
    assert sums(wh) == (90, 60)


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
        (
            {"resource_tags": [("user_a", "x{")], "cost_category": [("Team", "R&D, "), ("Env", "{"), ("Own", 'a":b')]},
            {"resource_tags": MAP, "cost_category": MAP},
            {"Team": "R&D, ", "Env": "{", "Own": 'a":b', "a": "x{"},
        ),
        (
            {"resource_tags": '{"user_a":', "cost_category": '{ "Team" : "R&D," ,\n"Env":"p"}'},
            {},
            {"Team": "R&D,", "Env": "p", "_unread": '{"user_a":'},
        ),
        ({"resource_tags": None}, {"resource_tags": MAP}, None),
        ({}, {}, None),
    ],
)
def test_tags(
    home: Home, wh: Warehouse, values: dict[str, Any], types: dict[str, Any], expected: dict[str, str] | None
) -> None:
    notes = load(home, wh, [row(**values)], "cur.parquet", **types).notes
    text = one(wh, "SELECT tags FROM core.charges")
    assert (json.loads(text) if text else None) == expected
    assert any("no JSON object" in note for note in notes) == ("_unread" in (expected or ()))


def test_the_products_map_names_the_service(home: Home, wh: Warehouse) -> None:
    item = row(product=[("product_name", "Amazon Bedrock"), ("region_code", "eu-west-1")])
    del item["product_product_name"], item["product_region_code"]
    load(home, wh, [item], "cur.parquet", product=MAP)
    assert rows_of(wh, "SELECT service_name, region_id FROM core.charges") == [("Amazon Bedrock", "eu-west-1")]


def pod(cost: str, namespace: str, **values: Any) -> dict[str, Any]:
    """What a pod used of the node i-0gpu in an hour."""
    tags = {"resourceTags/aws:eks:namespace": namespace, "resourceTags/user:team": None}
    split = {"split_line_item_parent_resource_id": "i-0gpu", "split_line_item_split_cost": cost}
    plain = row("Usage", "10", line_item_operation="EKSPod-EC2", line_item_resource_id=f"pod/{namespace}")
    return plain | split | tags | values


def node(cost: str, **values: Any) -> dict[str, Any]:
    return pod("0", "", line_item_operation="RunInstances", line_item_resource_id="i-0gpu") | {
        "line_item_unblended_cost": cost,
        "split_line_item_parent_resource_id": "",
        "split_line_item_split_cost": None,
        "resourceTags/aws:eks:namespace": None,
        "resourceTags/user:team": "platform",
        **values,
    }


SPLITS = {"split_line_item_split_cost": pa.float64()}
BY_NAMESPACE = (
    "SELECT json_extract_string(tags, '$.\"aws:eks:namespace\"') AS namespace, json_extract_string(tags, '$.team'), "
    "sum(effective_cost), sum(billed_cost), sum(gpu_hours), sum(source_rows) FROM core.charges "
    "WHERE ai_kind = 'gpu' GROUP BY ALL ORDER BY namespace NULLS LAST"
)


@pytest.mark.parametrize("name", FORMS)
def test_a_gpu_nodes_charges_are_divided_over_its_pods(home: Home, wh: Warehouse, name: str) -> None:
    rows = [
        node("60", line_item_usage_amount="6"),
        node("30", line_item_usage_amount="3", line_item_usage_start_date="2026-01-02T09:00:00Z"),
        pod("30", "search"),
        pod("15", "chat"),
        pod("22.5", "search", line_item_usage_start_date="2026-01-02T09:00:00Z"),
        node("7", line_item_usage_start_date="2026-01-03T00:00:00Z", line_item_usage_amount="1"),
        pod("1", "other-node", split_line_item_parent_resource_id="i-0elsewhere"),
    ]
    load(home, wh, rows, name, **SPLITS)
    assert sums(wh) == (97, 97)
    # Of the 90 dollars of the 2nd 22.50 are nobody's; the 3rd has no pod.
    assert rows_of(wh, BY_NAMESPACE) == [
        ("chat", "platform", 15, 15, Decimal(12), 0),
        ("search", "platform", Decimal("52.5"), Decimal("52.5"), Decimal(42), 0),
        (None, "platform", Decimal("29.5"), Decimal("29.5"), Decimal(26), 3),
    ]


def test_parts_of_a_node_add_up_to_the_last_digit_and_loading_again_changes_nothing(home: Home, wh: Warehouse) -> None:
    rows = [node("10.000000000007"), *(pod(f"{cost}.333333333333", f"n{cost}") for cost in range(1, 4))]
    load(home, wh, rows)
    assert sums(wh) == (Decimal("10.000000000007"), Decimal("10.000000000007"))
    before = rows_of(wh, BY_NAMESPACE)
    assert [row[2].quantize(Decimal("1e-6")) for row in before[:3]] == [Decimal(f"{n}.333333") for n in range(1, 4)]
    load(home, wh, rows)
    assert rows_of(wh, BY_NAMESPACE) == before
    load(home, wh, [*rows, pod("9", "too-much")])
    assert sums(wh)[1] == Decimal("10.000000000007")
    assert all(row[2] > Decimal("-1e-11") for row in rows_of(wh, BY_NAMESPACE))


def test_split_rows_of_a_savings_plan_node_divide_what_the_plan_paid(home: Home, wh: Warehouse) -> None:
    covered = {"line_item_line_item_type": "SavingsPlanCoveredUsage", "savings_plan_savings_plan_effective_cost": "6"}
    negation = node("-10", line_item_line_item_type="SavingsPlanNegation")
    load(home, wh, [node("10", **covered), negation, pod("4.5", "chat")])
    assert sums(wh) == (0, 6)
    assert rows_of(wh, BY_NAMESPACE)[0][2] == Decimal("4.5")
    assert one(wh, "SELECT sum(effective_cost) FROM core.charges WHERE tags LIKE '%chat%'") == Decimal("4.5")


def test_pods_of_cur_2_are_named_by_their_map(home: Home, wh: Warehouse) -> None:
    def in_map(plain: dict[str, Any], **tags: str) -> dict[str, Any]:
        kept = {name: cell for name, cell in plain.items() if not name.startswith("resourceTags/")}
        return kept | {"resource_tags": json.dumps(tags)}

    used = {"aws_eks_namespace": "search", "aws_eks_cluster_name": "prod"}
    rows = [in_map(node("8"), user_team="platform"), in_map(pod("6", ""), **used)]
    load(home, wh, rows)
    told = "SELECT tags, effective_cost FROM core.charges ORDER BY effective_cost DESC"
    assert rows_of(wh, told) == [
        ('{"aws:eks:cluster-name":"prod","aws:eks:namespace":"search","team":"platform"}', 6),
        ('{"team":"platform"}', 2),
    ]
    rows[0]["line_item_usage_amount"] = "2"
    load(home, wh, rows, tag_keys=["aws:eks:namespace"])
    assert rows_of(wh, told) == [('{"aws:eks:namespace":"search"}', 6), (None, 2)]
    pairs = [{"key": "aws_eks_namespace", "value": "chat"}, {"key": "aws_eks_node", "value": "n-1"}]
    odd = [json.dumps(pairs), "pod-1 is no JSON", "pod-2 is no JSON"]
    rows = [rows[0], *(rows[1] | {"resource_tags": text, "split_line_item_split_cost": "2.5"} for text in odd)]
    load(home, wh, rows, tag_keys=["aws:eks:namespace"])
    assert rows_of(wh, told) == [
        ('{"_unread":""}', 5),
        ('{"aws:eks:namespace":"chat"}', Decimal("2.5")),
        (None, Decimal("0.5")),
    ]
