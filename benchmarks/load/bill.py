"""One month of an invented AWS FOCUS 1.2 export in one Parquet file: 58 columns, costs as doubles, hourly rows.

The shape is that of a large bill: few services and SKUs, a thousand resources, a few thousand sets of tags, and
about 25 rows of the bill to a daily group. `pods` puts an id of its own into the tags of every row of one service.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

# Text columns that every AWS export carries and no total needs.
FILLING = (
    "AvailabilityZone", "BillingAccountName", "BillingAccountType", "CapacityReservationId",
    "CapacityReservationStatus", "ChargeFrequency", "CommitmentDiscountCategory", "CommitmentDiscountId",
    "CommitmentDiscountName", "CommitmentDiscountType", "CommitmentDiscountUnit",
    "InvoiceId", "PricingCategory", "PricingCurrency",
    "PublisherName", "RegionName", "ResourceName", "ResourceType", "ServiceSubcategory", "SkuPriceDetails",
    "SkuPriceId", "SubAccountType", "x_Discounts", "x_Operation", "x_ServiceCode", "x_UsageAccountName",
)  # fmt: skip
SQL = """
COPY (
    WITH numbered AS (
        SELECT range AS n, range % 720 AS hour, range // 720 AS line FROM range($rows)
    ),
    priced AS (
        SELECT
            *,
            hash(line) % 100 AS kind,
            hash(line, 'a') % 30 AS account,
            hash(line, 't') % 2000 AS tag,
            (hash(n, 'c') % 1000000) / 1e7 + (hash(n, 'd') % 977) / 3e9 AS cost
        FROM numbered
    )
    SELECT
        cost AS BilledCost,
        cost * 0.93 AS EffectiveCost,
        cost * 1.1 AS ListCost,
        cost AS ContractedCost,
        cost AS ListUnitPrice,
        cost AS ContractedUnitPrice,
        1.0::DOUBLE AS PricingQuantity,
        1.0::DOUBLE AS ConsumedQuantity,
        0.0::DOUBLE AS CommitmentDiscountQuantity,
        'Hrs' AS ConsumedUnit,
        'Hrs' AS PricingUnit,
        '111122223333' AS BillingAccountId,
        'USD' AS BillingCurrency,
        {times} '2026-01-01 00:00:00' AS BillingPeriodStart,
        {times} '2026-02-01 00:00:00' AS BillingPeriodEnd,
        {times} '2026-01-01 00:00:00' + INTERVAL 1 HOUR * hour AS ChargePeriodStart,
        {times} '2026-01-01 01:00:00' + INTERVAL 1 HOUR * hour AS ChargePeriodEnd,
        CASE WHEN kind = 99 THEN 'Credit' WHEN kind = 98 THEN 'Tax' ELSE 'Usage' END AS ChargeCategory,
        NULL::VARCHAR AS ChargeClass,
        CASE WHEN kind < 3 THEN 'Claude input tokens' WHEN kind < 6 THEN 'p5.48xlarge Linux' ELSE 'usage ' || kind END
            AS ChargeDescription,
        NULL::VARCHAR AS CommitmentDiscountStatus,
        'Amazon Web Services, Inc.' AS InvoiceIssuerName,
        'AWS' AS ProviderName,
        'us-east-' || (1 + hash(line, 'r') % 2) AS RegionId,
        'i-' || printf('%016x', hash(line)) AS ResourceId,
        CASE WHEN kind < 3 THEN 'AI and Machine Learning' ELSE 'Compute' END AS ServiceCategory,
        CASE WHEN kind < 3 THEN 'Amazon Bedrock' WHEN kind < 60 THEN 'Amazon Elastic Compute Cloud'
            ELSE 'Service ' || kind END AS ServiceName,
        'SKU' || (hash(line, 's') % 300) AS SkuId,
        CASE WHEN kind < 3 THEN 'USE1-Claude4.6Sonnet-input-tokens' WHEN kind < 6 THEN 'USE1-BoxUsage:p5.48xlarge'
            ELSE 'USE1-BoxUsage:m6i.large' END AS SkuMeter,
        (444400000000 + account)::VARCHAR AS SubAccountId,
        'account ' || account AS SubAccountName,
        json_object('feature', 'feature-' || tag % 40, 'team', 'team-' || tag % 9, 'component', 'part-' || tag
            {pod})::VARCHAR AS Tags,
        {filling}
    FROM priced
) TO '{path}' (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 250000)
"""
POD = ", 'pod', CASE WHEN kind BETWEEN 6 AND 40 THEN 'pod-' || n END"


def write_bill(path: Path, *, rows: int, pods: bool = False, instants: bool = False) -> None:
    """Write `rows` rows to `path`; the times are instants, or without a zone."""
    filling = ",\n        ".join(f"'{name.lower()} ' || kind % 7 AS {name}" for name in FILLING)
    # Lines are at least as many as make a daily group of about 24 rows.
    times = "TIMESTAMPTZ" if instants else "TIMESTAMP"
    sql = SQL.format(path=path, filling=filling, pod=POD if pods else "", times=times)
    with duckdb.connect(config={"memory_limit": "700MB", "preserve_insertion_order": False}) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(sql, {"rows": rows})
