"""The kinds of rows that sources hand over: which columns they must have, and how each must read.

Column names are the connectors' canonical ones: FOCUS's, CUR 2.0's, and those of the row schemas.
The SELECT that casts a layout stands in `sql/scan/<template>.sql`.
"""

from __future__ import annotations

from dataclasses import dataclass

from warehouse.tags import CUR_PREFIX, PREFIX


@dataclass(frozen=True)
class Layout:
    """How one kind of rows is read.

    `holds`: charges | metered_usage | metered_hours | calls | outcomes | telemetry_issues.

    `required` columns must be in every file; `never_null` ones must have a value in every row.
    `amounts`: the canonical columns that alone make billed, effective and list cost; None where several do.
    `money`, `quantities`, `days`, `instants`: canonical columns whose text or number must be readable.
    """

    name: str
    holds: str
    required: tuple[str, ...]
    never_null: tuple[str, ...]
    amounts: tuple[str | None, str | None, str | None] = (None, None, None)
    money: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    instants: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    currency: str | None = None
    template: str = ""  # the file under sql/scan, where it is not called like the layout
    leaves_rows_out: bool = False
    tag_prefix: str = PREFIX


_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_CUR_REQUIRED = (
    "bill_billing_period_start_date",
    "bill_payer_account_id",
    "line_item_currency_code",
    "line_item_line_item_type",
    "line_item_unblended_cost",
    "line_item_usage_start_date",
    "line_item_usage_type",
)
_CUR_MONEY = (
    "line_item_unblended_cost",
    "pricing_public_on_demand_cost",
    "reservation_effective_cost",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
)


# What the rows of a commitment cost stands in these columns alone. A report of reservations without an upfront payment
# may have no column of unused upfront fees.
CUR_AMORTISED = {
    "SavingsPlanCoveredUsage": ("savings_plan_savings_plan_effective_cost",),
    "SavingsPlanRecurringFee": ("savings_plan_total_commitment_to_date", "savings_plan_used_commitment"),
    "DiscountedUsage": ("reservation_effective_cost",),
    "RIFee": ("reservation_unused_recurring_fee",),
}


def _cur(name: str) -> Layout:
    return Layout(
        name,
        "charges",
        required=_CUR_REQUIRED,
        never_null=("line_item_usage_start_date", "line_item_currency_code", "line_item_unblended_cost"),
        amounts=("line_item_unblended_cost", None, "pricing_public_on_demand_cost"),
        money=_CUR_MONEY,
        quantities=("line_item_usage_amount",),
        days=("line_item_usage_start_date", "bill_billing_period_start_date"),
        currency="line_item_currency_code",
        template="cur",
        leaves_rows_out=True,
        # The maps of CUR 2.0 write `user_feature` for the tag that the legacy report calls `user:feature`.
        tag_prefix=CUR_PREFIX,
    )


LAYOUTS = {
    layout.name: layout
    for layout in (
        _cur("cur2"),
        _cur("cur_legacy"),
        Layout(
            "focus",
            "charges",
            required=("BilledCost", "EffectiveCost", "BillingCurrency", "ChargePeriodStart", "BillingPeriodStart"),
            never_null=("ChargePeriodStart", "BillingCurrency", "BilledCost", "EffectiveCost"),
            amounts=("BilledCost", "EffectiveCost", "ListCost"),
            money=("BilledCost", "EffectiveCost", "ListCost"),
            quantities=("ConsumedQuantity", "PricingQuantity"),
            days=("ChargePeriodStart", "BillingPeriodStart"),
            currency="BillingCurrency",
        ),
        Layout(
            "charges",
            "charges",
            required=("charge_date", "billed_cost", "effective_cost", "billing_currency", "basis"),
            never_null=("charge_date", "billing_currency", "billed_cost", "effective_cost", "basis"),
            amounts=("billed_cost", "effective_cost", "list_cost"),
            money=("billed_cost", "effective_cost", "list_cost"),
            quantities=("consumed_quantity",),
            days=("charge_date", "billing_period_start"),
            currency="billing_currency",
        ),
        Layout(
            "metered_usage",
            "metered_usage",
            required=("usage_date",),
            never_null=("usage_date",),
            days=("usage_date",),
            integers=("requests", *_TOKENS),
            quantities=("quantity",),
        ),
        Layout(
            "metered_hours",
            "metered_hours",
            required=("usage_hour",),
            never_null=("usage_hour",),
            instants=("usage_hour",),
            integers=("requests", *_TOKENS),
            quantities=("quantity",),
        ),
        Layout(
            "calls",
            "calls",
            required=("called_at",),
            never_null=("called_at",),
            instants=("called_at",),
            integers=("attempt", *_TOKENS, "tool_calls", "latency_ms"),
            money=("logged_cost_usd",),
        ),
        Layout(
            "outcomes",
            "outcomes",
            required=("task_id", "outcome", "outcome_at"),
            never_null=("task_id", "outcome", "outcome_at"),
            instants=("outcome_at",),
        ),
        Layout(
            "gpu_utilization",
            "gpu_utilization",
            required=("usage_date", "gpu", "samples", "utilization"),
            never_null=("usage_date", "gpu", "samples", "utilization"),
            days=("usage_date",),
            integers=("samples", "step_seconds"),
        ),
        Layout(
            "telemetry_issues",
            "telemetry_issues",
            required=("issue", "occurrences"),
            never_null=("issue", "occurrences"),
            integers=("occurrences",),
        ),
    )
}
