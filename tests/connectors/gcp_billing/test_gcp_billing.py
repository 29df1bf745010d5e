"""The connector against an emulated BigQuery, through Google's own client library."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import Window
from connectors.gcp_billing import GcpBilling, GcpBillingOptions
from connectors.gcp_billing.labels import merge_labels, tags_text
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.gcp_billing.export_rows import (
    DETAILED_TABLE,
    TABLE,
    net,
    row,
)
from tests.servers.bigquery import DETAILED, Dataset

WINDOW = Window(date(2026, 1, 5), date(2026, 1, 8))


def connect(billing: Dataset, **options: Any) -> GcpBilling:
    return GcpBilling(name="gcp", options=GcpBillingOptions.model_validate(billing.options(**options)))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def charges(ledger: Ledger) -> list[dict[str, Any]]:
    return [one for _, layout, one in ledger.rows if layout == "charges"]


def total(rows: Sequence[dict[str, Any]], measure: str = "billed_cost") -> Decimal:
    return sum((one[measure] for one in rows), Decimal(0))


def test_credits_are_split_and_never_multiply_the_cost(billing: Dataset, ledger: Ledger) -> None:
    credits = [
        ("PROMOTION", "-0.30"),
        ("FREE_TRIAL", "-0.05"),
        ("COMMITTED_USAGE_DISCOUNT", "-0.10"),
        ("DISCOUNT", "-0.02"),
    ]
    rows = [
        row(cost="1.25", credits=credits),
        row(cost="2.000000000007"),
        row(cost="0", credits=[("PROMOTION", "-0.5")]),
    ]
    billing.create(TABLE)
    billing.load(TABLE, rows)
    ledger.run(connect(billing), WINDOW)
    by_category = {one["charge_category"]: one for one in charges(ledger)}
    assert set(by_category) == {"Usage", "Credit"}
    usage, credit = by_category["Usage"], by_category["Credit"]
    assert usage["billed_cost"] == usage["effective_cost"] == Decimal("3.130000000007")
    assert credit["billed_cost"] == credit["effective_cost"] == Decimal("-0.85")
    assert total(charges(ledger)) == net(rows)
    assert usage["list_cost"] == Decimal("3.250000000007")
    assert credit["list_cost"] == 0
    assert usage["consumed_quantity"] == 3000
    assert credit["consumed_quantity"] is None
    # The credit stands where the usage does: rules give it to the same feature.
    dimensions = (
        "charge_date",
        "sub_account_id",
        "service_name",
        "sku_id",
        "tags",
        "region_id",
        "billing_period_start",
    )
    assert [usage[name] for name in dimensions] == [credit[name] for name in dimensions]


def test_every_dimension_comes_from_its_documented_field(billing: Dataset, ledger: Ledger) -> None:
    billing.create(DETAILED_TABLE, DETAILED)
    made = row(
        "2026-01-31T23:30:00",
        labels={"feature": "search", "k8s-namespace": "prod"},
        resource={"name": "gke-node-1", "global_name": "//compute.googleapis.com/1"},
        invoice={"month": "202602"},
        system_labels=[{"key": "compute.googleapis.com/machine_spec", "value": "a3-highgpu-8g"}],
        tags=[{"key": "cost-center", "value": "7", "inherited": False, "namespace": "1"}],
    )
    made["project"]["labels"] = [{"key": "env", "value": "prod"}]
    other = row(cost="-3", cost_type="adjustment", adjustment_info={"description": "Goodwill"}, project=None, unit="h")
    billing.load(
        DETAILED_TABLE, [made, other, row(cost="0.4", cost_type="tax"), row(cost="1e-9", cost_type="rounding_error")]
    )
    ledger.run(connect(billing), WINDOW)
    found = {one["charge_category"]: one for one in charges(ledger) if one["billed_cost"] != Decimal("1e-9")}
    usage = found["Usage"]
    assert usage["charge_date"] == date(2026, 1, 31)
    assert usage["billing_period_start"] == date(2026, 2, 1)
    assert usage["billing_account_id"] == "01AB2C-3D4E5F-678901"
    assert (usage["sub_account_id"], usage["sub_account_name"]) == ("acme-search", "Search")
    assert (usage["service_name"], usage["sku_meter"]) == ("Vertex AI", "Gemini 2.5 Flash Text Input - Predictions")
    assert (usage["resource_id"], usage["region_id"], usage["consumed_unit"]) == ("gke-node-1", "us-central1", "count")
    assert usage["billing_currency"] == "USD"
    assert usage["provider_name"] == usage["invoice_issuer_name"] == "Google Cloud"
    assert json.loads(usage["tags"]) == {
        "feature": "search",
        "k8s-namespace": "prod",
        "project:env": "prod",
        "system:compute.googleapis.com/machine_spec": "a3-highgpu-8g",
        "tag:cost-center": "7",
    }
    assert found["Adjustment"]["billed_cost"] == -3
    assert found["Adjustment"]["charge_description"] == "Goodwill"
    assert found["Adjustment"]["sub_account_id"] is None
    assert found["Tax"]["billed_cost"] == Decimal("0.4")
    assert Counter(one["charge_category"] for one in charges(ledger)) == {"Usage": 1, "Tax": 1, "Adjustment": 2}


def test_a_month_boundary_is_utc_for_the_day_and_the_invoices_for_the_period(billing: Dataset, ledger: Ledger) -> None:
    billing.create(TABLE)
    edges = [("2026-01-31T23:00:00", "202601"), ("2026-02-01T00:00:00", "202601"), ("2026-02-01T08:00:00", "202602")]
    billing.load(TABLE, [row(used, invoice={"month": month}) for used, month in edges])
    ledger.run(connect(billing), WINDOW)
    assert sorted((one["charge_date"], one["billing_period_start"]) for one in charges(ledger)) == [
        (date(2026, 1, 31), date(2026, 1, 1)),
        (date(2026, 2, 1), date(2026, 1, 1)),
        (date(2026, 2, 1), date(2026, 2, 1)),
    ]


def test_hostile_labels_stay_whole_and_make_no_rows_of_their_own(billing: Dataset, ledger: Ledger) -> None:
    nasty = {
        'qu"ote': "back\\slash",
        "ключ": "значение\n\t",
        "a'b": "`; DROP TABLE x",
        "empty": "",
        "\u2028": "\U0001f600",
    }
    twice = [{"key": "team", "value": "b"}, {"key": "team", "value": "a"}, {"key": "team", "value": "a"}]
    billing.create(TABLE)
    billing.load(
        TABLE,
        [
            row(labels=nasty),
            row(labels=dict(reversed(nasty.items()))),
            {**row(), "labels": twice},
            row(labels={"team": "a,b"}),
            {**row(), "labels": [{"key": None, "value": "x"}]},
            {**row(), "labels": None},
        ],
    )
    ledger.run(connect(billing), WINDOW)
    found = {one["tags"]: one["billed_cost"] for one in charges(ledger)}
    assert found == {
        json.dumps(nasty, sort_keys=True, ensure_ascii=False): Decimal("2.5"),
        '{"team": "a,b"}': Decimal("2.5"),
        None: Decimal("2.5"),
    }


def test_only_allowed_labels_are_read_and_the_rest_makes_no_rows(billing: Dataset, ledger: Ledger) -> None:
    billing.create(TABLE)
    rows = [row(labels={"feature": "search", "request_id": str(number)}) for number in range(5)]
    for one in rows:
        one["project"]["labels"] = [{"key": "env", "value": "prod"}, {"key": "owner", "value": "x"}]
    billing.load(TABLE, rows)
    ledger.run(connect(billing, tag_keys=["feature", "project:env"]), WINDOW)
    [one] = charges(ledger)
    assert json.loads(one["tags"]) == {"feature": "search", "project:env": "prod"}
    assert one["billed_cost"] == net(rows)


def test_amounts_are_exact_however_small_or_many(billing: Dataset, ledger: Ledger) -> None:
    amounts = ["0.1"] * 300 + ["1e-12", "-0.000000000003", "999.999999999999", "-123.456789012345", "12345"]
    rows = [row(cost=float(amount), credits=[("DISCOUNT", -0.1)]) for amount in amounts]
    billing.create(TABLE)
    billing.load(TABLE, [*rows, row(cost=None, cost_at_list=None), row(cost=123456789.987654, sku="Large")])
    ledger.run(connect(billing), WINDOW)
    large, one = sorted(charges(ledger), key=lambda one: one["sku_meter"] != "Large")
    assert one["billed_cost"] == sum(map(Decimal, amounts), Decimal(0)) - Decimal("0.1") * len(amounts)
    assert one["list_cost"] is None  # one of its rows has none
    assert any("1 of 307 rows have no cost" in note for note in ledger.notes)
    # As far as a FLOAT64 of this size has places.
    assert abs(large["billed_cost"] - Decimal("123456789.987654")) < Decimal("1e-8")


def test_groups_of_other_currencies_and_unknown_cost_types_stay_apart(billing: Dataset, ledger: Ledger) -> None:
    billing.create(TABLE)
    billing.load(TABLE, [row(), row(currency="EUR"), row(cost_type="surcharge"), row(cost_type=None)])
    ledger.run(connect(billing), WINDOW)
    assert Counter((one["billing_currency"], one["charge_category"]) for one in charges(ledger)) == {
        ("USD", "Usage"): 1,
        ("EUR", "Usage"): 1,
        ("USD", None): 1,
    }
    assert any("'surcharge' is not documented" in note for note in ledger.notes)


@pytest.mark.parametrize(
    ("texts", "allowed", "expected"),
    [
        ({"labels": "[]", "project_labels": None}, None, None),
        ({"labels": '[{"key": "b", "value": "1"}, {"key": "a", "value": null}]'}, None, '{"a": "", "b": "1"}'),
        ({"focus_tags": '{"b": 2, "a": "x"}'}, None, '{"a": "x", "b": "2"}'),
        ({"focus_tags": '[{"key": "a", "value": "1", "kind": "project_label"}]'}, ["a"], None),
        ({"focus_tags": '[{"key": "a", "value": "1", "kind": "tag"}]'}, ["tag:a"], '{"tag:a": "1"}'),
        ({"resource_tags": '[{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]'}, None, '{"tag:a": "1,2"}'),
    ],
)
def test_label_texts_become_tags(texts: dict[str, str | None], allowed: list[str] | None, expected: str | None) -> None:
    assert tags_text(texts, allowed) == expected
    merged = merge_labels({name: pa.array([text, None, text]) for name, text in texts.items()}, allowed)
    assert merged.to_pylist() == [expected, None, expected]
