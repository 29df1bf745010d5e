"""The company's AWS bill as a FOCUS 1.2 data export: Parquet per billing period, with manifests.

Layout and column types follow AWS Data Exports' FOCUS_1_2_AWS table (57 FOCUS columns and 3 of its
own): costs are doubles, tags a map. GPU instances, endpoints and training come as hourly rows,
tokens and the rest as daily ones. The two newest days are as incomplete as AWS leaves them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows.demo.company import AS_OF, CLAUDE_SMALL, DAYS, START, Company, Model
from flows.demo.traffic import Floats, Ints, Traffic, weekdays

EXPORT = "focus-daily"
BUCKET = "billing-exports"
PREFIX = "finops"

_TEXT, _NUMBER, _TIME = pa.string(), pa.float64(), pa.timestamp("ms")
_TAGS, _DISCOUNTS = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.float64())
_NUMBERS = {
    "BilledCost", "CommitmentDiscountQuantity", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice",
    "EffectiveCost", "ListCost", "ListUnitPrice", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity",
}  # fmt: skip
_TIMES = {"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"}
_COLUMNS = (
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId",
    "CapacityReservationStatus", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId",
    "CommitmentDiscountName", "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType",
    "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice",
    "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
    "PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId",
    "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName",
    "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName",
    "SubAccountType", "Tags", "x_Discounts", "x_Operation", "x_ServiceCode",
)  # fmt: skip


def _type_of(column: str) -> pa.DataType:
    if column in _NUMBERS:
        return _NUMBER
    if column in _TIMES:
        return _TIME
    return {"Tags": _TAGS, "SkuPriceDetails": _TAGS, "x_Discounts": _DISCOUNTS}.get(column, _TEXT)


SCHEMA = pa.schema([(column, _type_of(column)) for column in _COLUMNS])

_REGION: dict[str, Any] = {"RegionId": "us-east-1", "RegionName": "US East (N. Virginia)"}
_TOKEN_KINDS = (
    # attribute of Calls and of Model, end of the usage type, word of the description
    ("input_tokens", "input_usd", "input-tokens", "input"),
    ("cache_read_tokens", "cache_read_usd", "cache-read-input-token-count", "cache read input"),
    ("cache_write_tokens", "cache_write_usd", "cache-write-input-token-count", "cache write input"),
    ("output_tokens", "output_usd", "output-tokens", "output"),
)


@dataclass(frozen=True)
class _Meter:
    """One ordinary charge: what it is, its list price, and how much of it a weekday uses."""

    service: str
    code: str
    category: str
    subcategory: str
    usage_type: str
    operation: str
    unit: str
    unit_usd: float
    per_day: float
    weekend: float = 1.0
    growth: float = 0.0
    noise: float = 0.02


_PLATFORM = (
    _Meter("Amazon Simple Storage Service", "AmazonS3", "Storage", "Object Storage", "TimedStorage-ByteHrs",
           "StandardStorage", "GB-Mo", 0.023, 760, growth=0.0012, noise=0.004),
    _Meter("Amazon Simple Storage Service", "AmazonS3", "Storage", "Object Storage", "Requests-Tier1",
           "PutObject", "Requests", 0.000005, 640_000, 0.6, 0.0008, 0.06),
    _Meter("Amazon Relational Database Service", "AmazonRDS", "Databases", "Relational Databases",
           "Multi-AZUsage:db.r6g.2xl", "CreateDBInstance:0021", "Hrs", 1.916, 24, noise=0.0006),
    _Meter("Amazon Relational Database Service", "AmazonRDS", "Databases", "Relational Databases",
           "RDS:Multi-AZ-GP3-Storage", "CreateDBInstance:0021", "GB-Mo", 0.23, 54, growth=0.0006, noise=0.003),
    _Meter("AWS Data Transfer", "AWSDataTransfer", "Networking", "Network Infrastructure",
           "DataTransfer-Out-Bytes", "RunInstances", "GB", 0.09, 190, 0.55, 0.0008, 0.07),
    _Meter("Amazon Virtual Private Cloud", "AmazonVPC", "Networking", "Network Connectivity",
           "NatGateway-Bytes", "NatGateway", "GB", 0.045, 230, 0.6, 0.0006, 0.06),
    _Meter("AmazonCloudWatch", "AmazonCloudWatch", "Management and Governance", "Observability",
           "DataProcessing-Bytes", "PutLogEvents", "GB", 0.50, 26, 0.6, 0.0005, 0.06),
    _Meter("AWS Lambda", "AWSLambda", "Compute", "Serverless Compute", "Lambda-GB-Second", "Invoke",
           "Lambda-GB-Second", 0.0000166667, 410_000, 0.5, 0.0008, 0.05),
    _Meter("Amazon Elastic Container Service for Kubernetes", "AmazonEKS", "Compute", "Containers",
           "AmazonEKS-Hours:perCluster", "CreateOperation", "hours", 0.10, 48, noise=0.0),
    _Meter("Amazon OpenSearch Service", "AmazonES", "Databases", "Search", "ESInstance:r6g.xlarge",
           "ESDomain", "Hrs", 0.335, 72, noise=0.0006),
)  # fmt: skip


class _Bill:
    """Collects blocks of rows; a block is scalars for all its rows and arrays for what differs."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._blocks: list[pa.Table] = []
        names = {account: name for name, account in company.accounts.items()}
        self._account_names = {
            account: f"{company.slug}-{names[account]}" for account in (*company.accounts.values(),)
        } | {company.payer_account: f"{company.slug}-billing"}

    def add(
        self,
        account: str,
        starts: NDArray[np.datetime64],
        ends: NDArray[np.datetime64],
        *,
        quantity: Floats | None,
        unit_usd: float | None,
        billed: Floats,
        effective: Floats | None = None,
        listed: Floats | None = None,
        tags: Mapping[str, str] | None = None,
        **columns: Any,
    ) -> None:
        """Rows of one SKU. `columns` are FOCUS columns, a text for all rows or a list of texts."""
        count = len(starts)
        if not count:
            return
        effective = billed if effective is None else effective
        listed = billed if listed is None else listed
        usage_type = columns.get("SkuMeter")
        sku = _sku(f"{columns.get('x_ServiceCode')}/{usage_type}")
        periods = starts.astype("datetime64[M]")
        values: dict[str, Any] = {
            "BilledCost": billed,
            "EffectiveCost": effective,
            "ListCost": listed,
            "ContractedCost": listed,
            "PricingCurrencyEffectiveCost": effective,
            "ConsumedQuantity": quantity,
            "PricingQuantity": quantity,
            "BillingAccountId": self._company.payer_account,
            "BillingAccountName": self._account_names[self._company.payer_account],
            "BillingAccountType": "Management",
            "BillingCurrency": "USD",
            "PricingCurrency": "USD",
            "BillingPeriodStart": periods.astype("datetime64[ms]"),
            "BillingPeriodEnd": (periods + 1).astype("datetime64[ms]"),
            "ChargePeriodStart": starts.astype("datetime64[ms]"),
            "ChargePeriodEnd": ends.astype("datetime64[ms]"),
            "InvoiceId": [_invoice(self._company, period) for period in periods.astype(str)],
            "InvoiceIssuerName": "Amazon Web Services, Inc.",
            "ProviderName": "AWS",
            "PublisherName": "Amazon Web Services, Inc.",
            "SubAccountId": account,
            "SubAccountName": self._account_names[account],
            "SubAccountType": "Member" if account != self._company.payer_account else "Management",
            "ChargeCategory": "Usage",
            "ChargeFrequency": "Usage-Based",
            "PricingCategory": "Standard",
            "Tags": tags or {},
            "x_Discounts": {},
            **columns,
        }
        if values["ChargeCategory"] == "Usage":
            values |= {"SkuId": sku, "SkuPriceId": f"{sku}.JRTCKXETXF.6YS6EN2CT7"}
        if unit_usd is not None:
            values |= dict.fromkeys(
                (
                    "ListUnitPrice",
                    "ContractedUnitPrice",
                    "PricingCurrencyListUnitPrice",
                    "PricingCurrencyContractedUnitPrice",
                ),
                np.full(count, unit_usd),
            )
        self._blocks.append(
            pa.Table.from_arrays([_column(field, values.get(field.name), count) for field in SCHEMA], schema=SCHEMA)
        )

    def table(self) -> pa.Table:
        return pa.concat_tables(self._blocks)


def write_export(folder: Path, company: Company, traffic: Traffic) -> int:
    """Writes `<folder>/<prefix>/<export>/{data,metadata}/BILLING_PERIOD=…`; returns the number of rows."""
    table = _rows(company, traffic)
    periods = np.asarray(table.column("BillingPeriodStart")).astype("datetime64[M]").astype(str)
    root = folder / PREFIX / EXPORT
    for period in sorted(set(periods.tolist())):
        partition = f"BILLING_PERIOD={period}"
        data = root / "data" / partition / f"{EXPORT}-00001.snappy.parquet"
        data.parent.mkdir(parents=True)
        pq.write_table(table.filter(pa.array(periods == period)), data, compression="snappy")
        # AWS writes the manifest after every data file has landed; its list is the delivery.
        manifest = root / "metadata" / partition / f"{EXPORT}-Manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(json.dumps(_manifest(company, period, data.relative_to(folder).as_posix()), indent=1))
    return int(table.num_rows)


def _manifest(company: Company, period: str, data_key: str) -> dict[str, Any]:
    execution = hashlib.sha256(f"{company.seed}/{period}/{AS_OF}".encode()).hexdigest()
    return {
        "exportArn": f"arn:aws:bcm-data-exports:us-east-1:{company.payer_account}:export/{EXPORT}-{execution[32:44]}",
        "exportName": EXPORT,
        "executionId": f"{execution[:8]}-{execution[8:12]}-{execution[12:16]}-{execution[16:20]}-{execution[20:32]}",
        "billingPeriod": period,
        "tableName": "FOCUS_1_2_AWS",
        "contentType": "Parquet",
        "compression": "Parquet",
        "columns": [{"name": name} for name in SCHEMA.names],
        "dataFiles": [f"s3://{company.slug}-{BUCKET}/{data_key}"],
    }


def _rows(company: Company, traffic: Traffic) -> pa.Table:
    bill = _Bill(company)
    _bedrock(bill, company, traffic)
    _gpu(bill, company, traffic)
    _sagemaker(bill, company, traffic)
    _untagged(bill, company, traffic)
    _platform(bill, company)
    _compute_with_savings_plan(bill, company)
    _once_a_month(bill, company, bill.table())
    return bill.table()


def _bedrock(bill: _Bill, company: Company, traffic: Traffic) -> None:
    for feature in company.llm:
        if feature.large.provider != "aws":
            continue
        calls = traffic.calls[feature.slug]
        for model, rows in ((feature.large, ~calls.is_small), (feature.small, calls.is_small)):
            for attribute, price, ending, word in _TOKEN_KINDS:
                weights = getattr(calls, attribute)[rows].astype(np.float64)
                tokens = np.bincount(calls.day[rows], weights=weights, minlength=DAYS).astype(np.float64)
                _tokens(bill, company.accounts["prod"], model, price, ending, word, tokens, feature.slug, company)


def _tokens(
    bill: _Bill,
    account: str,
    model: Model,
    price: str,
    ending: str,
    word: str,
    tokens: Floats,
    feature: str | None,
    company: Company,
) -> None:
    """Daily rows of one token kind of one model; with a feature they carry its inference profile's tags."""
    per_unit = {"1K tokens": 1_000, "1M tokens": 1_000_000}[model.billed_unit]
    unit_usd = round(float(getattr(model, price)) * per_unit / 1e6, 12)
    days = np.flatnonzero(tokens)
    quantity = np.round(tokens[days] * _completeness()[days]) / per_unit
    profile = hashlib.sha256(f"{company.seed}/{feature}/{model.name}".encode()).hexdigest()[:12]
    bill.add(
        account,
        *_day_bounds(days),
        quantity=quantity,
        unit_usd=unit_usd,
        billed=np.round(quantity * unit_usd, 10),
        tags={"user:feature": feature, "user:env": "prod"} if feature else None,
        SkuMeter=f"USE1-{model.billed_as}-{ending}",
        ChargeDescription=f"${unit_usd:g} per {model.billed_unit} for {model.billed_as} {word} tokens "
        "in US East (N. Virginia)",
        ConsumedUnit=model.billed_unit,
        PricingUnit=model.billed_unit,
        ResourceId=f"arn:aws:bedrock:us-east-1:{account}:application-inference-profile/{profile}" if feature else None,
        ResourceType="Application Inference Profile" if feature else None,
        ServiceName="Amazon Bedrock",
        ServiceCategory="AI and Machine Learning",
        ServiceSubcategory="Generative AI",
        x_Operation="InvokeModelInference",
        x_ServiceCode="AmazonBedrock",
        **_REGION,
    )


def _untagged(bill: _Bill, company: Company, traffic: Traffic) -> None:
    """Bedrock in the sandbox account: a few playground calls, and in some worlds the break of that story."""
    spends = [(CLAUDE_SMALL, traffic.strays_usd * 0.4)]
    if company.untagged.route == "bedrock":
        spends.append((company.untagged.model, traffic.untagged_usd))
    for model, spend in spends:
        for price, ending, word, share in (
            ("input_usd", "input-tokens", "input", 0.62),
            ("output_usd", "output-tokens", "output", 0.38),
        ):
            tokens = np.round(spend * share / float(getattr(model, price)) * 1e6)
            _tokens(bill, company.accounts["sandbox"], model, price, ending, word, tokens, None, company)


def _gpu(bill: _Bill, company: Company, traffic: Traffic) -> None:
    """One row per node and hour. The autoscaler's nodes are new machines every day, those kept at night stay."""
    feature = company.gpu
    hours = _cut_newest(traffic.gpu_node_hours)
    account = company.accounts["ml"]
    unit_usd = float(feature.node_hour_usd)
    tags = {
        "aws:eks:cluster-name": feature.cluster,
        "user:feature": feature.slug,
        "user:env": "prod",
        "user:workload": "inference",
    }
    for slot in range(int(np.ceil(hours.max()))):
        amount = np.clip(hours - slot, 0, 1)
        days, hour = np.nonzero(amount)
        quantity = np.round(amount[days, hour], 6)
        is_kept = slot < feature.night_nodes
        bill.add(
            account,
            *_hour_bounds(days, hour),
            quantity=quantity,
            unit_usd=unit_usd,
            billed=np.round(quantity * unit_usd, 10),
            tags=tags,
            ResourceId=[_instance(company, slot, 0 if is_kept else int(day)) for day in days],
            ResourceType="EC2 Instance",
            **_ec2(feature.instance_type, unit_usd),
            AvailabilityZone="us-east-1b",
        )
    disk_days = hours.sum(axis=1) / 24
    quantity = np.round(disk_days * 500 / 30, 8)
    bill.add(
        account,
        *_day_bounds(np.arange(DAYS)),
        quantity=quantity,
        unit_usd=0.08,
        billed=np.round(quantity * 0.08, 10),
        tags=tags,
        ChargeDescription="$0.08 per GB-month of General Purpose (gp3) provisioned storage - US East (N. Virginia)",
        SkuMeter="EBS:VolumeUsage.gp3",
        ConsumedUnit="GB-Mo",
        PricingUnit="GB-Mo",
        ServiceName="Amazon Elastic Block Store",
        ServiceCategory="Storage",
        ServiceSubcategory="Block Storage",
        x_Operation="CreateVolume-Gp3",
        x_ServiceCode="AmazonEC2",
        **_REGION,
    )


def _ec2(instance_type: str, unit_usd: float) -> dict[str, Any]:
    return {
        "ChargeDescription": f"${unit_usd:g} per On Demand Linux {instance_type} Instance Hour",
        "SkuMeter": f"BoxUsage:{instance_type}",
        "ConsumedUnit": "Hrs",
        "PricingUnit": "Hrs",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Virtual Machines",
        "x_Operation": "RunInstances",
        "x_ServiceCode": "AmazonEC2",
        **_REGION,
    }


def _sagemaker(bill: _Bill, company: Company, traffic: Traffic) -> None:
    """The reranker's endpoint, hourly, and its nightly training job."""
    account, slug = company.accounts["ml"], company.reranker
    shared: dict[str, Any] = {
        "ConsumedUnit": "Hrs",
        "PricingUnit": "Hrs",
        "ServiceName": "Amazon SageMaker",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Machine Learning Platforms",
        "x_ServiceCode": "AmazonSageMaker",
        **_REGION,
    }
    hours = _cut_newest(traffic.reranker_hours)
    days, hour = np.nonzero(hours)
    quantity = hours[days, hour]
    bill.add(
        account,
        *_hour_bounds(days, hour),
        quantity=quantity,
        unit_usd=1.408,
        billed=np.round(quantity * 1.408, 10),
        tags={"user:feature": slug, "user:env": "prod", "user:workload": "inference"},
        SkuMeter="USE1-Host:ml.g5.xlarge",
        ChargeDescription="$1.408 per Hosting ml.g5.xlarge hour in US East (N. Virginia)",
        ResourceId=f"arn:aws:sagemaker:us-east-1:{account}:endpoint/{slug.replace('_', '-')}-reranker",
        ResourceType="Endpoint",
        x_Operation="RunInstance",
        **shared,
    )
    days = np.arange(DAYS - 1)
    quantity = np.round(traffic.training_hours[days], 6)
    bill.add(
        account,
        *_hour_bounds(days, np.full(len(days), 2)),
        quantity=quantity,
        unit_usd=7.09,
        billed=np.round(quantity * 7.09, 10),
        tags={"user:feature": slug, "user:env": "prod", "user:workload": "training"},
        SkuMeter="USE1-Train:ml.g5.12xlarge",
        ChargeDescription="$7.09 per Training ml.g5.12xlarge hour in US East (N. Virginia)",
        ResourceId=f"arn:aws:sagemaker:us-east-1:{account}:training-job/{slug.replace('_', '-')}-nightly",
        ResourceType="Training Job",
        x_Operation="RunInstance",
        **shared,
    )


def _platform(bill: _Bill, company: Company) -> None:
    """What every company has: storage, databases, network. Nobody's AI feature."""
    for meter in _PLATFORM:
        rng = np.random.default_rng([company.seed, int.from_bytes(meter.usage_type.encode()[:6])])
        level = meter.per_day * float(rng.uniform(0.7, 1.2))
        week = np.where(weekdays() < 5, 1.0, meter.weekend)
        amount = level * week * (1 + meter.growth) ** np.arange(DAYS) * np.exp(rng.normal(0, meter.noise, DAYS))
        quantity = np.round(amount * _completeness(), 8)
        bill.add(
            company.accounts["prod"],
            *_day_bounds(np.arange(DAYS)),
            quantity=quantity,
            unit_usd=meter.unit_usd,
            billed=np.round(quantity * meter.unit_usd, 10),
            tags={"user:team": "platform", "user:env": "prod"},
            SkuMeter=meter.usage_type,
            ChargeDescription=f"${meter.unit_usd:g} per {meter.unit} of {meter.usage_type}",
            ConsumedUnit=meter.unit,
            PricingUnit=meter.unit,
            ServiceName=meter.service,
            ServiceCategory=meter.category,
            ServiceSubcategory=meter.subcategory,
            x_Operation=meter.operation,
            x_ServiceCode=meter.code,
            **_REGION,
        )


def _compute_with_savings_plan(bill: _Bill, company: Company) -> None:
    """CPU instances: on demand until a Compute Savings Plan, half of it paid up front, covers most of them.

    Covered usage is billed 0 and costs what was committed; what is committed and not used is a row
    of its own; the purchase and the monthly fee are billed and cost nothing themselves.
    """
    rng = np.random.default_rng([company.seed, 77])
    bought = 13  # 2026-07-06
    unit_usd, fleet = 0.3264, float(rng.uniform(7.2, 9.6))
    # Committed for a weekday; on weekends a part of it is wasted.
    hourly_commitment = round(fleet * unit_usd * 0.72 * float(rng.uniform(0.88, 0.94)), 3)
    days = np.arange(DAYS)
    complete = _completeness()
    week = np.where(weekdays() < 5, 1.0, 0.86)
    instance_hours = fleet * 24 * week * np.exp(rng.normal(0, 0.025, DAYS)) * complete
    committed = hourly_commitment * 24 * complete
    covered_cost = np.where(days < bought, 0.0, np.minimum(committed, instance_hours * unit_usd * 0.72))
    covered_hours = covered_cost / (unit_usd * 0.72)
    tags = {"user:team": "platform", "user:env": "prod"}
    plan: dict[str, Any] = {
        "CommitmentDiscountCategory": "Spend",
        "CommitmentDiscountId": f"arn:aws:savingsplans::{company.payer_account}:savingsplan/5b1d7c9e-8a44-4f0e-9d3b",
        "CommitmentDiscountName": "Compute Savings Plan",
        "CommitmentDiscountType": "Compute Savings Plans",
        "CommitmentDiscountUnit": "USD",
    }
    on_demand = np.round(instance_hours - covered_hours, 6)
    rows = np.flatnonzero(on_demand)
    ec2 = _ec2("m7g.2xlarge", unit_usd)
    bill.add(
        company.accounts["prod"],
        *_day_bounds(rows),
        quantity=on_demand[rows],
        unit_usd=unit_usd,
        billed=np.round(on_demand[rows] * unit_usd, 10),
        tags=tags,
        ResourceType="EC2 Instance",
        **ec2,
    )
    rows = days[bought:]
    nothing = np.zeros(len(rows))
    used = np.round(covered_cost[rows], 10).astype(np.float64)
    covered: dict[str, Any] = {
        **ec2,
        **plan,
        "PricingCategory": "Committed",
        "ChargeDescription": "m7g.2xlarge Linux covered by Savings Plan",
        "CommitmentDiscountStatus": "Used",
        "CommitmentDiscountQuantity": used,
    }
    bill.add(
        company.accounts["prod"],
        *_day_bounds(rows),
        quantity=np.round(covered_hours[rows], 6),
        unit_usd=unit_usd,
        billed=nothing,
        effective=used,
        listed=np.round(covered_hours[rows] * unit_usd, 10),
        tags=tags,
        ResourceType="EC2 Instance",
        **covered,
    )
    unused = np.round(committed[rows] - covered_cost[rows], 10)
    payer: dict[str, Any] = {
        "ServiceName": "Savings Plans for AWS Compute usage",
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Other (Compute)",
        "x_ServiceCode": "ComputeSavingsPlans",
        "SkuMeter": "ComputeSP:1yrPartialUpfront",
        "PricingCategory": "Committed",
        **plan,
    }
    wasted = np.flatnonzero(unused > 0)
    bill.add(
        company.payer_account,
        *_day_bounds(rows[wasted]),
        quantity=None,
        unit_usd=None,
        billed=nothing[wasted],
        effective=unused[wasted],
        listed=nothing[wasted],
        ChargeDescription="Unused Savings Plan commitment",
        CommitmentDiscountStatus="Unused",
        CommitmentDiscountQuantity=unused[wasted],
        **payer,
    )
    fee = np.round(committed[rows] / 2, 10)
    bill.add(
        company.payer_account,
        *_day_bounds(rows),
        quantity=None,
        unit_usd=None,
        billed=fee,
        effective=nothing,
        listed=fee,
        ChargeCategory="Purchase",
        ChargeFrequency="Recurring",
        ChargeDescription="1 year Partial Upfront Compute Savings Plan, recurring fee",
        **payer,
    )
    upfront = np.array([round(hourly_commitment * 8_760 / 2, 2)])
    bill.add(
        company.payer_account,
        *_day_bounds(np.array([bought])),
        quantity=np.array([1.0]),
        unit_usd=None,
        billed=upfront,
        effective=np.zeros(1),
        listed=upfront,
        ChargeCategory="Purchase",
        ChargeFrequency="One-Time",
        ChargeDescription="1 year Partial Upfront Compute Savings Plan, upfront fee",
        **payer,
    )


def _once_a_month(bill: _Bill, company: Company, usage: pa.Table) -> None:
    """Tax and support per month, credits, and one refund that corrects a closed month."""
    rng = np.random.default_rng([company.seed, 78])
    months = np.asarray(usage.column("BillingPeriodStart")).astype("datetime64[M]")
    billed = np.asarray(usage.column("BilledCost"))
    is_usage = np.asarray(usage.column("ChargeCategory").to_pylist()) == "Usage"
    for month in np.unique(months):
        total = float(billed[(months == month) & is_usage].sum())
        bounds = (np.array([month]).astype("datetime64[D]"), np.array([month + 1]).astype("datetime64[D]"))
        bill.add(
            company.payer_account,
            *bounds,
            quantity=np.array([1.0]),
            unit_usd=None,
            billed=np.array([round(total * 0.026, 2)]),
            ChargeCategory="Tax",
            ChargeFrequency="Recurring",
            PricingCategory=None,
            ChargeDescription="Tax for product code AmazonEC2",
            ServiceName="Amazon Elastic Compute Cloud",
            ServiceCategory="Compute",
            ServiceSubcategory="Virtual Machines",
            x_ServiceCode="AmazonEC2",
        )
        bill.add(
            company.payer_account,
            *bounds,
            quantity=np.array([round(total, 6)]),
            unit_usd=None,
            billed=np.array([round(max(100.0, total * 0.07), 10)]),
            ChargeFrequency="Recurring",
            ChargeDescription="7% of monthly AWS usage from $10K-$80K",
            SkuMeter="Dollar",
            ConsumedUnit="Dollar",
            PricingUnit="Dollar",
            ServiceName="AWS Support (Business)",
            ServiceCategory="Other",
            ServiceSubcategory="Other (Other)",
            x_ServiceCode="AWSSupportBusiness",
        )
    for day in (date(2026, 7, 3), date(2026, 8, 3), date(2026, 9, 3)):
        bill.add(
            company.payer_account,
            *_day_bounds(np.array([(day - START).days])),
            quantity=None,
            unit_usd=None,
            billed=-np.round(rng.uniform(180, 420, 1), 2),
            ChargeCategory="Credit",
            ChargeFrequency="One-Time",
            PricingCategory=None,
            ChargeDescription="AWS Activate promotional credit",
            ServiceName="Amazon Elastic Compute Cloud",
            ServiceCategory="Compute",
            ServiceSubcategory="Virtual Machines",
            x_ServiceCode="AmazonEC2",
        )
    refund_day = np.repeat((date(2026, 8, 12) - START).days, 3)
    bill.add(
        company.accounts["prod"],
        *_day_bounds(refund_day),
        quantity=None,
        unit_usd=None,
        billed=-np.round(rng.uniform(9, 48, 3), 10),
        tags={"user:team": "platform", "user:env": "prod"},
        ChargeCategory="Adjustment",
        ChargeClass="Correction",
        ChargeFrequency="One-Time",
        ChargeDescription="Refund for RDS Multi-AZ service interruption in July",
        SkuMeter="Multi-AZUsage:db.r6g.2xl",
        ServiceName="Amazon Relational Database Service",
        ServiceCategory="Databases",
        ServiceSubcategory="Relational Databases",
        x_ServiceCode="AmazonRDS",
        **_REGION,
    )


def _completeness() -> Floats:
    """Share of a day that has reached the bill: AWS catches up for about two days."""
    shares = np.ones(DAYS)
    shares[-2:] = 0.97, 0.55
    return shares


def _cut_newest(hours: Floats) -> Floats:
    """Hourly rows arrive hour by hour: of the newest day the first thirteen are in."""
    cut = hours.copy()
    cut[-1, 13:] = 0
    return cut


def _day_bounds(days: Ints) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    starts = np.datetime64(START) + np.asarray(days)
    return starts, starts + 1


def _hour_bounds(days: Ints, hours: Ints) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    starts = (np.datetime64(START) + np.asarray(days)).astype("datetime64[h]") + np.asarray(hours)
    return starts, starts + 1


def _invoice(company: Company, period: str) -> str | None:
    """An open month has no invoice yet."""
    if period == f"{AS_OF:%Y-%m}":
        return None
    return str(1_800_000_000 + company.seed % 100_000 * 100 + int(period[-2:]))


def _instance(company: Company, slot: int, day: int) -> str:
    return f"i-0{hashlib.sha256(f'{company.seed}/{slot}/{day}'.encode()).hexdigest()[:16]}"


def _sku(meter: str) -> str:
    alphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
    return "".join(alphabet[byte % len(alphabet)] for byte in hashlib.sha256(meter.encode()).digest()[:16])


def _column(field: pa.Field, value: Any, count: int) -> pa.Array:
    if value is None:
        return pa.nulls(count, field.type)
    if pa.types.is_map(field.type):
        items = sorted(value.items())
        offsets = np.arange(count + 1, dtype=np.int32) * len(items)
        keys = pa.array([key for key, _ in items] * count, field.type.key_type)
        texts = pa.array([text for _, text in items] * count, field.type.item_type)
        return pa.MapArray.from_arrays(offsets, keys, texts)
    if isinstance(value, str):
        return pa.repeat(pa.scalar(value, field.type), count)
    return pa.array(value, field.type)
