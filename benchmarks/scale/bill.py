"""Writes a large FOCUS export: one Parquet file a month, hourly rows of many resources, tags as AWS writes them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb

# Every row is one resource and hour; a share of the resources carries a feature tag, a few are GPUs or model calls.
SQL = """
COPY (
    WITH hours AS (
        SELECT
            range AS row_id,
            CAST($month AS TIMESTAMPTZ) + INTERVAL 1 HOUR * (range % $hours) AS started,
            (range // $hours)::INTEGER AS resource
        FROM range($rows)
    ),
    priced AS (
        SELECT
            *,
            hash(resource) % 100 AS kind,
            round(0.01 + (hash(resource, 'price') % 1000) / 250.0 + (hash(row_id) % 100) / 1000.0, 10) AS cost
        FROM hours
    )
    SELECT
        cost::DECIMAL(38, 12) AS BilledCost,
        cost::DECIMAL(38, 12) AS EffectiveCost,
        cost::DECIMAL(38, 12) AS ListCost,
        cost::DECIMAL(38, 12) AS ContractedCost,
        '123456789012' AS BillingAccountId,
        'Acme' AS BillingAccountName,
        'USD' AS BillingCurrency,
        CAST($month AS TIMESTAMPTZ) AS BillingPeriodStart,
        CAST($month AS TIMESTAMPTZ) + INTERVAL 1 MONTH AS BillingPeriodEnd,
        'Usage' AS ChargeCategory,
        NULL::VARCHAR AS ChargeClass,
        'Usage-Based' AS ChargeFrequency,
        'per hour of resource kind ' || kind AS ChargeDescription,
        started AS ChargePeriodStart,
        started + INTERVAL 1 HOUR AS ChargePeriodEnd,
        1.0::DOUBLE AS ConsumedQuantity,
        'Hrs' AS ConsumedUnit,
        1.0::DOUBLE AS PricingQuantity,
        'Hrs' AS PricingUnit,
        'AWS' AS InvoiceIssuerName,
        'AWS' AS ProviderName,
        'AWS' AS PublisherName,
        'us-east-1' AS RegionId,
        CASE WHEN kind < 5 THEN 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/' || resource
            ELSE 'i-' || printf('%017x', hash(resource)) END AS ResourceId,
        CASE WHEN kind < 5 THEN 'Amazon Bedrock' WHEN kind < 60 THEN 'Amazon Elastic Compute Cloud'
            WHEN kind < 80 THEN 'Amazon Simple Storage Service' ELSE 'Service ' || kind END AS ServiceName,
        CASE WHEN kind < 5 THEN 'AI and Machine Learning' ELSE 'Compute' END AS ServiceCategory,
        'sku-' || (hash(resource, 'sku') % 400) AS SkuId,
        CASE WHEN kind BETWEEN 5 AND 7 THEN 'BoxUsage:p4d.24xlarge' ELSE 'BoxUsage:m6i.large' END AS SkuMeter,
        (111100000000 + hash(resource, 'account') % 40)::VARCHAR AS SubAccountId,
        json_object(
            'user:feature', CASE WHEN hash(resource, 'f') % 4 > 0 THEN 'feature-' || (hash(resource, 'f') % 30) END,
            'user:env', CASE WHEN hash(resource, 'e') % 3 > 0 THEN 'prod' ELSE 'dev' END
        )::VARCHAR AS Tags,
        'RunInstances' AS x_Operation,
        'AmazonEC2' AS x_ServiceCode
    FROM priced
) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 200000)
"""
FEATURES = 30


def write_bill(folder: Path, *, first: date, months: int, rows_per_month: int) -> int:
    """One file a month below `folder`; the bytes written."""
    folder.mkdir(parents=True, exist_ok=True)
    written, month = 0, first
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for _ in range(months):
            following = (month + timedelta(days=32)).replace(day=1)
            path = folder / f"focus-{month:%Y-%m}.parquet"
            parameters = {"month": month, "hours": (following - month).days * 24, "rows": rows_per_month}
            con.execute(SQL.replace("{path}", str(path)), parameters)
            written += path.stat().st_size
            month = following
    return written


def write_configuration(folder: Path) -> None:
    """trendbreak.yml over `folder/bill`, and thirty features by tag."""
    features = "".join(f"  feature-{n}: {{owner: '@team', unit: answer}}\n" for n in range(FEATURES))
    rules = "".join(
        f"  - {{name: f{n}, when: {{tag.feature: feature-{n}}}, feature: feature-{n}}}\n" for n in range(FEATURES)
    )
    (folder / "features.yml").write_text(f"version: 1\nfeatures:\n{features}rules:\n{rules}")
    (folder / "trendbreak.yml").write_text(
        "home: ./home\nsources:\n  - {name: aws, type: focus_files, location: ./bill}\nfeatures: features.yml\n"
    )
