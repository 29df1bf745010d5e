"""Canonical columns of the scans of layout "cur2" and "cur_legacy": CUR 2.0's names.

Source: AWS, "Cost and Usage Report (CUR) 2.0" table dictionary and the legacy CUR data dictionary.
A legacy report spells the same columns `lineItem/UnblendedCost` (CSV) or `line_item_unblended_cost`
(Parquet); `canonical_name` maps the one to the other as AWS does for Athena.

Maps. CUR 2.0 has the columns `resource_tags`, `cost_category`, `product`, `discount` and, in newer
exports, `tags`: a MAP in Parquet, a JSON object in CSV. In the legacy report, and where a CUR 2.0
query picked single keys, each key is a column of its own; its canonical name is `<map>.<key>`:

    resourceTags/user:feature     → resource_tags.user:feature     (legacy CSV: the key as tagged)
    resource_tags_user_feature    → resource_tags.user_feature     (Parquet: AWS lower-cases it)
    costCategory/Team             → cost_category.Team

Costs are double; `line_item_unblended_cost` is what the invoice says. Effective cost follows from
`line_item_line_item_type`: see README.md, "Amortised cost".
"""

from __future__ import annotations

import re

CUR_REQUIRED = (
    "bill_billing_period_start_date",
    "bill_payer_account_id",
    "line_item_currency_code",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_unblended_cost",
    "line_item_usage_account_id",
    "line_item_usage_start_date",
    "line_item_usage_type",
)
CUR_OPTIONAL = (
    "bill_bill_type",
    "bill_billing_entity",
    "bill_billing_period_end_date",
    "bill_invoice_id",
    "bill_invoicing_entity",
    "bill_payer_account_name",
    "identity_line_item_id",
    "identity_time_interval",
    "line_item_availability_zone",
    "line_item_iam_principal",
    "line_item_legal_entity",
    "line_item_line_item_description",
    "line_item_net_unblended_cost",
    "line_item_operation",
    "line_item_resource_id",
    "line_item_tax_type",
    "line_item_usage_account_name",
    "line_item_usage_amount",
    "line_item_usage_end_date",
    "pricing_public_on_demand_cost",
    "pricing_purchase_option",
    "pricing_rate_code",
    "pricing_term",
    "pricing_unit",
    "product_instance_type",
    "product_location",
    "product_operation",
    "product_product_family",
    "product_product_name",
    "product_region_code",
    "product_servicecode",
    "product_sku",
    "product_usagetype",
    "reservation_amortized_upfront_fee_for_billing_period",
    "reservation_effective_cost",
    "reservation_end_time",
    "reservation_net_effective_cost",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_recurring_fee",
    "reservation_reservation_a_r_n",
    "reservation_start_time",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_savings_plan_a_r_n",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
    "split_line_item_actual_usage",
    "split_line_item_net_split_cost",
    "split_line_item_net_unused_cost",
    "split_line_item_parent_resource_id",
    "split_line_item_public_on_demand_split_cost",
    "split_line_item_public_on_demand_unused_cost",
    "split_line_item_reserved_usage",
    "split_line_item_split_cost",
    "split_line_item_split_usage",
    "split_line_item_split_usage_ratio",
    "split_line_item_unused_cost",
)
CUR_MAPS = ("cost_category", "discount", "product", "resource_tags", "tags")
# Maps whose single keys the warehouse reads; the keys of the others are reached by fixed columns.
CUR_KEYED_MAPS = ("resource_tags", "cost_category")

CUR_COST_COLUMNS = tuple(
    name
    for name in (*CUR_REQUIRED, *CUR_OPTIONAL)
    if re.search(r"_(cost|fee|fee_for_billing_period|commitment|commitment_to_date)$", name)
)
CUR_TIME_COLUMNS = ("bill_billing_period_start_date", "line_item_usage_start_date")

# Documented column families that the warehouse does not read; they need no note.
CUR_FAMILIES = (
    "bill_",
    "capacity_reservation_",
    "cost_category",
    "discount",
    "identity_",
    "line_item_",
    "pricing_",
    "product",
    "reservation_",
    "resource_tags",
    "savings_plan_",
    "split_line_item_",
    "tags",
)

# FOCUS_1_0_AWS and FOCUS_1_2_AWS carry these beside the FOCUS columns.
FOCUS_AWS_COLUMNS = frozenset({"x_CostCategories", "x_Discounts", "x_Operation", "x_ServiceCode", "x_UsageType"})


def canonical_name(column: str) -> str:
    """CUR 2.0's name for a column of any CUR: `lineItem/UnblendedCost` → `line_item_unblended_cost`.

    Of a tag or cost category column the key stays as it is: `resourceTags/user:Team` → `resource_tags.user:Team`.
    """
    category, slash, name = column.partition("/")
    if not slash:
        lowered = column.lower()
        for family in CUR_KEYED_MAPS:
            if lowered.startswith(f"{family}_") and len(lowered) > len(family) + 1:
                return f"{family}.{column[len(family) + 1 :]}"
        return lowered
    family = _snake(category)
    if family in CUR_KEYED_MAPS:
        return f"{family}.{name}"
    return f"{family}_{_snake(name)}"


def _snake(name: str) -> str:
    """AWS's rule for Athena: an underscore before every capital, then lower case; other marks become '_'."""
    spaced = re.sub(r"(?<!^)(?<![_\W])([A-Z])", r"_\1", name)
    return re.sub(r"_+", "_", re.sub(r"\W", "_", spaced)).strip("_").lower()
