"""CUR 2.0 and the legacy report: their columns become CUR 2.0's names, their deliveries are read like any other.

Column names are those of AWS's CUR 2.0 and CUR data dictionaries; the rows are invented.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.aws_data_exports import AwsDataExports
from connectors.aws_data_exports.schema import CUR_COST_COLUMNS, CUR_OPTIONAL, CUR_REQUIRED, canonical_name
from connectors.base import DeliveryRef, FileScan, Window
from connectors.errors import IncompleteDelivery, PayloadError
from connectors.registry import connect
from tests.connectors.billing_files import AwsExport, LegacyReport, Site, focus_csv, focus_row, land, parquet, total
from tests.servers.s3 import FolderSite

JANUARY = Window(date(2026, 1, 1), date(2026, 2, 1))
LEGACY_HEADER = (
    "identity/LineItemId", "identity/TimeInterval", "bill/InvoiceId", "bill/BillingEntity", "bill/BillType",
    "bill/PayerAccountId", "bill/BillingPeriodStartDate", "bill/BillingPeriodEndDate", "lineItem/UsageAccountId",
    "lineItem/LineItemType", "lineItem/UsageStartDate", "lineItem/UsageEndDate", "lineItem/ProductCode",
    "lineItem/UsageType", "lineItem/Operation", "lineItem/ResourceId", "lineItem/UsageAmount",
    "lineItem/CurrencyCode", "lineItem/UnblendedCost", "lineItem/LineItemDescription", "lineItem/LegalEntity",
    "product/ProductName", "product/regionCode", "pricing/publicOnDemandCost", "pricing/unit",
    "reservation/EffectiveCost", "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod",
    "savingsPlan/SavingsPlanEffectiveCost", "savingsPlan/SavingsPlanARN", "savingsPlan/TotalCommitmentToDate",
    "savingsPlan/UsedCommitment", "splitLineItem/SplitCost", "splitLineItem/ParentResourceId",
)  # fmt: skip


def source(site: Site, prefix: str) -> AwsDataExports:
    made = connect("aws_data_exports", name="aws", options=site.options(prefix))
    assert isinstance(made, AwsDataExports)
    return made


def load(of: AwsDataExports, folder: Path) -> tuple[DeliveryRef, tuple[FileScan, ...], tuple[str, ...]]:
    [ref] = of.discover(JANUARY)
    parsed = of.parse(land(of.fetch(ref), folder))
    return ref, tuple(part for part in parsed.parts if isinstance(part, FileScan)), parsed.notes


def cur2_row(cost: float, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("bill_invoice_id", "line_item_resource_id", "line_item_operation"))
    row |= dict.fromkeys(CUR_COST_COLUMNS, 0.0)
    row |= {
        "bill_billing_period_start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "bill_payer_account_id": "111122223333",
        "line_item_currency_code": "USD",
        "line_item_line_item_type": "Usage",
        "line_item_product_code": "AmazonBedrock",
        "line_item_unblended_cost": cost,
        "line_item_usage_account_id": "444455556666",
        "line_item_usage_start_date": datetime(2026, 1, 2, 3, tzinfo=UTC),
        "line_item_usage_type": "USE1-Claude4.6Sonnet-input-tokens",
        "resource_tags": [("user_feature", "chat")],
        "product": [("product_name", "Amazon Bedrock")],
        "line_item_blended_cost": cost,  # documented, not read: no note
    }
    return row | more


def legacy_csv(costs: Sequence[str], **more: Mapping[str, str]) -> bytes:
    header = [*LEGACY_HEADER, *more.get("columns", {})]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    for cost in costs:
        row = dict.fromkeys(header, "") | {
            "bill/PayerAccountId": "111122223333",
            "bill/BillingPeriodStartDate": "2026-01-01T00:00:00Z",
            "lineItem/UsageAccountId": "444455556666",
            "lineItem/LineItemType": "Usage",
            "lineItem/UsageStartDate": "2026-01-02T03:00:00Z",
            "lineItem/ProductCode": "AmazonBedrock",
            "lineItem/UsageType": "USE1-x",
            "lineItem/CurrencyCode": "USD",
            "lineItem/UnblendedCost": cost,
        }
        row |= more.get("columns", {})
        writer.writerow([row[name] for name in header])
    return text.getvalue().encode()


@pytest.mark.parametrize(
    ("column", "name"),
    [
        *((name, name) for name in (*CUR_REQUIRED, *CUR_OPTIONAL)),
        ("lineItem/UnblendedCost", "line_item_unblended_cost"),
        ("lineItem/LineItemType", "line_item_line_item_type"),
        ("savingsPlan/SavingsPlanARN", "savings_plan_savings_plan_a_r_n"),
        ("pricing/publicOnDemandCost", "pricing_public_on_demand_cost"),
        ("pricing/RateCode", "pricing_rate_code"),
        ("product/instanceType", "product_instance_type"),
        ("product/ProductName", "product_product_name"),
        ("reservation/UnusedRecurringFee", "reservation_unused_recurring_fee"),
        ("splitLineItem/PublicOnDemandSplitCost", "split_line_item_public_on_demand_split_cost"),
        ("resourceTags/user:Feature", "resource_tags.user:Feature"),
        ("resourceTags/aws:createdBy", "resource_tags.aws:createdBy"),
        ("costCategory/Team", "cost_category.Team"),
        ("resource_tags", "resource_tags"),
        ("resource_tags_user_feature", "resource_tags.user_feature"),
        ("cost_category_team", "cost_category.team"),
    ],
)
def test_names_are_cur_2s(column: str, name: str) -> None:
    assert canonical_name(column) == name


def test_every_slash_name_has_its_canonical_column() -> None:
    known = {*CUR_REQUIRED, *CUR_OPTIONAL}
    assert {canonical_name(column) for column in LEGACY_HEADER} <= known
    assert set(CUR_REQUIRED) <= {canonical_name(column) for column in LEGACY_HEADER}


def test_cur2_as_parquet(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    maps = {"resource_tags": pa.map_(pa.string(), pa.string()), "product": pa.map_(pa.string(), pa.string())}
    rows = [cur2_row(0.1), cur2_row(-0.05, line_item_line_item_type="SavingsPlanNegation"), cur2_row(1e-7)]
    AwsExport(site, "exports/cur2").deliver("2026-01", {"cur2-00001.snappy.parquet": parquet(rows, **maps)})
    ref, scans, notes = load(source(site, "exports"), tmp_path / "landed")
    assert ref.scope == "BILLING_PERIOD=2026-01"
    [scan] = scans
    assert (scan.layout, scan.file_format) == ("cur2", "parquet")
    assert set(CUR_REQUIRED) <= set(scan.columns)
    assert scan.columns["resource_tags"] == "resource_tags"
    assert "line_item_blended_cost" not in scan.columns
    assert total(scans, "line_item_unblended_cost") == Decimal("0.0500001")
    assert notes == ("data/BILLING_PERIOD=2026-01/cur2-00001.snappy.parquet: CUR 2.0",)


def test_cur2_with_columns_of_ones_own_query(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    row = cur2_row(2.5, resource_tags_user_feature="chat", my_column="x")
    del row["resource_tags"], row["product"]
    AwsExport(site, "cur2").deliver("2026-01", {"cur2-00001.csv.gz": gzip.compress(focus_csv([row]))})
    _, scans, notes = load(source(site, "cur2"), tmp_path / "landed")
    assert scans[0].layout == "cur2"
    assert scans[0].columns["resource_tags.user_feature"] == "resource_tags_user_feature"
    assert notes[1] == "1 column outside CUR 2.0 kept aside: my_column"
    assert total(scans, "line_item_unblended_cost") == Decimal("2.5")


@pytest.mark.parametrize("missing", CUR_REQUIRED)
def test_a_missing_column_is_named(missing: str, tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    row = cur2_row(1.0)
    del row[missing], row["resource_tags"], row["product"]
    AwsExport(site, "cur2").deliver("2026-01", {"a.csv.gz": gzip.compress(focus_csv([row]))})
    with pytest.raises(
        PayloadError, match=rf"^data/BILLING_PERIOD=2026-01/a\.csv\.gz: the CUR column {missing} is missing"
    ):
        load(source(site, "cur2"), tmp_path / "landed")


@pytest.mark.parametrize("assembly", ["", "20260103T060000Z"])
@pytest.mark.parametrize("told", ["cur/acme", "/acme", "other/prefix/acme"])
def test_a_legacy_report(assembly: str, told: str, tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    report = LegacyReport(site, told=told)
    if assembly:
        report.deliver(
            "20260101-20260201", {"acme-1.csv.gz": gzip.compress(legacy_csv(["99"]))}, assembly="20260102T0600Z"
        )
    tagged = {"resourceTags/user:feature": "chat", "resourceTags/aws:createdBy": "me"}
    twice = {"product/sku": "A", "product/Sku": ""}  # which differ in case only
    files = {
        "acme-1.csv.gz": gzip.compress(legacy_csv(["0.00000000011", "1E-7"], columns=twice)),
        "acme-2.csv.gz": gzip.compress(
            legacy_csv(["-0.5"], columns=twice | tagged)
        ),  # a tag that came within the month
    }
    report.deliver("20260101-20260201", files, assembly=assembly)
    ref, scans, notes = load(source(site, "cur"), tmp_path / "landed")
    assert (ref.scope, ref.window, ref.replaces) == ("BILLING_PERIOD=2026-01", JANUARY, "scope")
    assert {scan.layout for scan in scans} == {"cur_legacy"}
    assert total(scans, "line_item_unblended_cost") == Decimal("-0.49999989989")
    [tags] = [scan.columns for scan in scans if "resource_tags.user:feature" in scan.columns]
    assert tags["resource_tags.user:feature"] == "resourceTags/user:feature"
    assert tags["savings_plan_savings_plan_effective_cost"] == "savingsPlan/SavingsPlanEffectiveCost"
    assert len(notes) == 1
    assert "legacy CUR" in notes[0]


def test_a_legacy_report_as_parquet_in_athenas_layout(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    row = cur2_row(2.5, resource_tags_user_feature="chat")
    del row["resource_tags"], row["product"]
    LegacyReport(site).deliver(
        "20260101-20260201", {"acme-00001.snappy.parquet": parquet([row])}, below="acme/year=2026/month=1/"
    )
    _, scans, _ = load(source(site, "cur/acme"), tmp_path / "landed")
    assert (scans[0].layout, scans[0].file_format) == ("cur_legacy", "parquet")
    assert scans[0].columns["resource_tags.user_feature"] == "resource_tags_user_feature"
    assert total(scans, "line_item_unblended_cost") == Decimal("2.5")


@pytest.mark.parametrize(
    ("key", "kind", "says"),
    [
        ("cur/acme/20260101-20260201/gone.csv.gz", IncompleteDelivery, "files that are not there"),
        ("cur/acme/20251201-20260101/a.csv.gz", PayloadError, "a file of another period"),
        ("cur/acme/acme/year=2025/month=12/a.parquet", PayloadError, "a file of another period"),
        ("cur/acme/20260101-20260201/a.csv.zip", PayloadError, r"let the export write GZIP or Parquet"),
        ("cur/acme/20260101-20260201/../../x.csv.gz", PayloadError, "leads out of the export"),
        ("x.csv.gz", PayloadError, "not where AWS puts data files"),
    ],
)
def test_a_legacy_manifest_that_names_what_cannot_be_read(
    key: str, kind: type[Exception], says: str, tmp_path: Path
) -> None:
    site = FolderSite(tmp_path)
    manifest = json.dumps({"reportKeys": [key], "compression": "GZIP"}).encode()
    site.put("cur/acme/20260101-20260201/acme-Manifest.json", manifest)
    of = source(site, "cur/acme")
    [ref] = of.discover(JANUARY)
    with pytest.raises(kind, match=says):
        list(of.fetch(ref))


def test_focus_and_cur_in_one_delivery_are_refused(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    row = cur2_row(1.0)
    del row["resource_tags"], row["product"]
    files = {"a.csv.gz": gzip.compress(focus_csv([row])), "b.csv.gz": gzip.compress(focus_csv([focus_row()]))}
    AwsExport(site, "mixed").deliver("2026-01", files)
    with pytest.raises(PayloadError, match="some files of the delivery are FOCUS and some are not"):
        load(source(site, "mixed"), tmp_path / "landed")
