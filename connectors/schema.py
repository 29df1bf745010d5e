"""Arrow schemas of the rows that connectors hand over (`Rows.layout`).

Names are FOCUS terms in snake_case with the unit where there is one. Money is decimal128(38, 12);
unknown is null, never 0. The warehouse stages these columns by name; a test holds the two in step.
"""

from __future__ import annotations

import pyarrow as pa

MONEY = pa.decimal128(38, 12)
QUANTITY = pa.decimal128(38, 12)

# One row per charge_date × every dimension. Null dimension = the provider did not say.
CHARGES = pa.schema(
    [
        ("charge_date", pa.date32()),
        ("billing_period_start", pa.date32()),
        ("billing_account_id", pa.string()),
        ("sub_account_id", pa.string()),  # AWS account, GCP project, OpenAI project, Anthropic workspace
        ("sub_account_name", pa.string()),
        ("invoice_issuer_name", pa.string()),
        ("provider_name", pa.string()),  # as the provider writes it
        ("service_name", pa.string()),
        ("service_category", pa.string()),
        ("sku_id", pa.string()),
        ("sku_meter", pa.string()),  # usage type, line item, SKU text: what classification reads
        ("charge_description", pa.string()),
        ("charge_category", pa.string()),  # Usage | Purchase | Tax | Credit | Adjustment
        ("charge_class", pa.string()),  # null | Correction
        ("commitment_discount_status", pa.string()),  # null | Used | Unused
        ("region_id", pa.string()),
        ("resource_id", pa.string()),
        ("api_key_id", pa.string()),
        ("model", pa.string()),  # when the provider names it; else classification finds it
        ("token_type", pa.string()),
        ("tags", pa.string()),  # JSON object with sorted keys, or null
        ("consumed_quantity", QUANTITY),
        ("consumed_unit", pa.string()),
        ("billed_cost", MONEY),
        ("effective_cost", MONEY),
        ("list_cost", MONEY),
        ("billing_currency", pa.string()),
        ("basis", pa.string()),  # reported | estimated
    ]
)

# What the provider's own usage API metered: no money.
METERED_USAGE = pa.schema(
    [
        ("usage_date", pa.date32()),
        ("sub_account_id", pa.string()),
        ("api_key_id", pa.string()),
        ("model", pa.string()),
        ("pricing_tier", pa.string()),  # standard | batch | flex | priority | null
        ("requests", pa.int64()),
        ("input_tokens", pa.int64()),  # uncached only: the five kinds are disjoint
        ("cache_read_tokens", pa.int64()),
        ("cache_write_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("usage_kind", pa.string()),  # completions | embeddings | images | … where the provider parts them
        ("quantity", QUANTITY),  # of what is not metered in tokens
        ("quantity_unit", pa.string()),  # images | characters | seconds | bytes | sessions | calls
    ]
)

# The same by the hour, for the estimated lane: it is shown before the bill is there, and never added to it.
METERED_HOURS = pa.schema([pa.field("usage_hour", pa.timestamp("us")), *list(METERED_USAGE)[1:]])  # UTC

# Telemetry: one row per call, projected to this allow-list before anything is written to disk.
CALLS = pa.schema(
    [
        ("called_at", pa.timestamp("us", tz="UTC")),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("feature", pa.string()),
        ("task_id", pa.string()),
        ("task_type", pa.string()),
        ("attempt", pa.int32()),  # 1 = first; > 1 = a retry
        ("outcome", pa.string()),  # null = not known yet, never failure
        ("status", pa.string()),  # ok | error
        ("response_id", pa.string()),
        ("user_hash", pa.string()),  # keyed hash; the id itself never reaches disk
        ("plan", pa.string()),
        ("release", pa.string()),
        ("prompt_version", pa.string()),
        ("api_key_id", pa.string()),
        ("input_tokens", pa.int64()),  # uncached only
        ("cache_read_tokens", pa.int64()),
        ("cache_write_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("tool_calls", pa.int32()),
        ("latency_ms", pa.int64()),
        ("gpu_seconds", pa.float64()),
        ("logged_cost_usd", MONEY),  # what the log's own tool priced the call at: an estimate of theirs
        ("pricing_tier", pa.string()),  # standard | batch | flex | priority | other; null = not told
        ("trace_id", pa.string()),  # where it is not the task: outcomes may name it
    ]
)

# Outcomes of tasks that come apart from the calls; joined by task id, the latest one wins.
OUTCOMES = pa.schema(
    [
        ("task_id", pa.string()),
        ("outcome", pa.string()),
        ("outcome_at", pa.timestamp("us", tz="UTC")),
    ]
)

# How busy GPUs were, per day and device.
GPU_UTILIZATION = pa.schema(
    [
        ("usage_date", pa.date32()),
        ("host", pa.string()),
        ("gpu", pa.string()),
        ("gpu_model", pa.string()),
        ("samples", pa.int64()),
        ("step_seconds", pa.int64()),  # how far apart they were asked for; null where that is not known
        ("utilization", pa.decimal128(9, 6)),  # mean of the samples, 0 to 1
    ]
)

# What a telemetry delivery left out or kept with a gap, counted: never content.
TELEMETRY_ISSUES = pa.schema(
    [
        ("issue", pa.string()),  # a code: see docs/events.md
        ("detail", pa.string()),  # the field's name, or null
        ("occurrences", pa.int64()),
    ]
)

# Canonical columns of the "focus" FileScan layout: the FOCUS column names, 1.0 to 1.4. The warehouse
# reads these; every other column of a file is kept aside (it stays in the landed bytes) and reported.
FOCUS_REQUIRED = (
    "BilledCost",
    "EffectiveCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ServiceName",
)
FOCUS_OPTIONAL = (
    "AvailabilityZone",
    "BillingAccountName",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",  # before 1.4
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceProviderName",  # from 1.3
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
)
