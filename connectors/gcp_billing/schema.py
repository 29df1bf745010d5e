"""What Google documents of its billing export tables, and the columns in which a partition is landed.

Sources: Cloud Billing documentation, "Structure of Standard data export", "Structure of Detailed
data export", "Structure of FOCUS data export" (preview).
"""

from __future__ import annotations

from types import MappingProxyType

import pyarrow as pa

from connectors.gcp_billing.labels import CHARGES_LABELS
from connectors.schema import MONEY, QUANTITY

# The payloads of a landed partition: what was asked, and the rows by the table's layout.
ABOUT_FILE = "partition.json"
ROWS_FILES = MappingProxyType({"charges": "charges.parquet", "focus": "focus.parquet"})

# Top-level columns of the standard and detailed export. Others are reported, not read.
DOCUMENTED = frozenset(
    {
        "adjustment_info",
        "billing_account_id",
        "consumption_model",
        "cost",
        "cost_at_effective_price_default",
        "cost_at_list",
        "cost_at_list_consumption_model",
        "cost_type",
        "credits",
        "currency",
        "currency_conversion_rate",
        "export_time",
        "invoice",
        "labels",
        "location",
        "price",
        "project",
        "resource",  # the detailed export only
        "seller_name",
        "service",
        "sku",
        "subscription",
        "system_labels",
        "tags",
        "transaction_type",
        "usage",
        "usage_end_time",
        "usage_start_time",
    }
)
# Without these there is no bill; the dotted ones are fields of a record.
REQUIRED = (
    "billing_account_id",
    "cost",
    "credits.amount",
    "currency",
    "export_time",
    "service.description",
    "sku.description",
    "usage_start_time",
)
# Text fields that may be missing in an older table or in a view: landed column → field.
TEXTS = MappingProxyType(
    {
        "invoice_month": "invoice.month",
        "billing_account_id": "billing_account_id",
        "project_id": "project.id",
        "project_name": "project.name",
        "service": "service.description",
        "sku_id": "sku.id",
        "sku": "sku.description",
        "cost_type": "cost_type",
        "adjustment": "adjustment_info.description",
        "region": "location.region",
        "location": "location.location",
        "resource_name": "resource.name",
        "resource_global_name": "resource.global_name",
        "pricing_unit": "usage.pricing_unit",
        "currency": "currency",
    }
)
# The amounts per group of a landed partition. Gross cost, promotional credits (free trial,
# promotions) and all other credits stand apart; credits are negative, their sum is the net cost.
LANDED_CHARGES = pa.schema(
    [
        ("charge_date", pa.date32()),  # UTC day of usage_start_time
        *((name, pa.string()) for name in TEXTS),
        *((name, pa.string()) for name in CHARGES_LABELS),  # JSON: [{"key": …, "value": …}, …]
        ("gross_cost", MONEY),
        ("other_credits", MONEY),
        ("promotional_credits", MONEY),
        ("promotional_credit_count", pa.int64()),
        ("list_cost", MONEY),  # null where a row of the group has none
        ("consumed_quantity", QUANTITY),
        ("source_rows", pa.int64()),
        ("rows_without_cost", pa.int64()),
    ]
)

# Columns of the FOCUS export that the warehouse reads; of two in one line the first that is there.
FOCUS_TEXTS = (
    ("BillingAccountId",),
    ("SubAccountId",),
    ("SubAccountName",),
    ("InvoiceIssuerName",),
    ("ServiceProviderName",),
    ("ProviderName",),
    ("ServiceName",),
    ("ServiceCategory",),
    ("SkuId", "SkuPriceId"),
    ("SkuMeter",),
    ("ChargeDescription",),
    ("ChargeCategory",),
    ("ChargeClass",),
    ("CommitmentDiscountStatus",),
    ("RegionId",),
    ("ResourceId", "ResourceName"),
    ("ConsumedUnit", "PricingUnit"),
    ("BillingCurrency",),
)
FOCUS_TIMES = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
FOCUS_TAGS = "Tags"
# Google's own FOCUS view writes them in lower case.
FOCUS_WORDS = ("Usage", "Purchase", "Tax", "Credit", "Adjustment", "Correction")
FOCUS_EXPORT_TIME = "x_ExportTime"
# Google's own columns beside FOCUS's.
FOCUS_DOCUMENTED = frozenset(
    {
        "x_ConsumptionModelDescription",
        "x_ConsumptionModelId",
        "x_CostAtEffectivePriceDefault",
        "x_CostAtListConsumptionModel",
        "x_CostType",
        "x_Credits",
        "x_CurrencyConversionRate",
        "x_ExportTime",
        "x_Labels",
        "x_Location",
        "x_PriceEffectivePriceDefault",
        "x_PriceListPriceConsumptionModel",
        "x_Project",
        "x_ProjectLabels",
        "x_ServiceId",
        "x_SubscriptionInstanceId",
        "x_SystemLabels",
        "x_Tags",
    }
)
FOCUS_ISSUER = "Google Cloud"
# Google deletes what is older from the FOCUS table; that takes nothing back.
FOCUS_KEPT_DAYS = 730

PROMOTIONAL_CREDITS = ("FREE_TRIAL", "PROMOTION")
CHARGE_CATEGORIES = MappingProxyType(
    {"regular": "Usage", "tax": "Tax", "adjustment": "Adjustment", "rounding_error": "Adjustment"}
)
