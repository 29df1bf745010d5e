-- AWS Cost and Usage Report, 2.0 and legacy, under CUR 2.0's names → the staged charge.
--
-- Billed is the unblended cost. Effective follows AWS's own amortised view: covered usage costs what
-- the commitment pays for it, a commitment's fee what of it nobody used.
--
-- Rows of split cost allocation (a pod, a task) repeat the cost of the instance they ran on: left out.
SELECT
    {{ c.day("line_item_usage_start_date") }} AS charge_date,
    {{ c.day("bill_billing_period_start_date") }} AS billing_period_start,
    {{ c.text("bill_payer_account_id") }} AS billing_account_id,
    {{ c.text("line_item_usage_account_id") }} AS sub_account_id,
    {{ c.text("line_item_usage_account_name") }} AS sub_account_name,
    {{ c.first_text("bill_invoicing_entity", "bill_billing_entity") }} AS invoice_issuer_name,
    'AWS' AS provider_name,
    coalesce(
        {{ c.text("product_product_name") }}, {{ c.key("product", "product_name") }}, {{ c.text("line_item_product_code") }}
    ) AS service_name,
    NULL::VARCHAR AS service_category,
    {{ c.text("product_sku") }} AS sku_id,
    {{ c.text("line_item_usage_type") }} AS sku_meter,
    {{ c.text("line_item_line_item_description") }} AS charge_description,
    {% set kind = c.text("line_item_line_item_type") %}
    {# USE2-CapacityBlockFee:p5.48xlarge: paid up front, and nothing that runs in the block costs anything #}
    {% set block_fee = "coalesce(contains(" ~ c.text("line_item_usage_type") ~ ", 'CapacityBlock'), FALSE)" %}
    CASE
        WHEN {{ kind }} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') THEN 'Usage'
        WHEN {{ kind }} IN ('Tax', 'Credit') THEN {{ kind }}
        WHEN {{ kind }} IN ('Fee', 'RIFee', 'SavingsPlanRecurringFee', 'SavingsPlanUpfrontFee') THEN 'Purchase'
        {# discounts, refunds, and the negation that takes covered usage off the invoice #}
        ELSE 'Adjustment'
    END AS charge_category,
    NULL::VARCHAR AS charge_class,
    CASE
        WHEN {{ kind }} IN ('DiscountedUsage', 'SavingsPlanCoveredUsage') THEN 'Used'
        WHEN {{ kind }} IN ('RIFee', 'SavingsPlanRecurringFee') THEN 'Unused'
    END AS commitment_discount_status,
    coalesce({{ c.text("product_region_code") }}, {{ c.key("product", "region_code") }}) AS region_id,
    {{ c.text("line_item_resource_id") }} AS resource_id,
    {# who called: the nearest thing to an API key that the bill knows #}
    {{ c.text("line_item_iam_principal") }} AS api_key_id,
    NULL::VARCHAR AS model,
    NULL::VARCHAR AS token_type,
    {{ c.cur_tags() }} AS raw_tags,
    {{ c.quantity("line_item_usage_amount") }} AS consumed_quantity,
    {{ c.text("pricing_unit") }} AS consumed_unit,
    {{ c.money("line_item_unblended_cost") }} AS billed_cost,
    CASE
        {% if c.unpriced %}
        {# unknown, and the load stops: unblended cost and negation would count covered usage twice #}
        WHEN {{ kind }} IN ({% for name in c.unpriced %}{{ name | literal }}{{ ", " if not loop.last }}{% endfor %}) THEN NULL
        {% endif %}
        WHEN {{ kind }} = 'SavingsPlanCoveredUsage'
            THEN coalesce({{ c.whole_money("savings_plan_savings_plan_effective_cost") }}, {{ c.whole_money("line_item_unblended_cost") }})
        WHEN {{ kind }} = 'SavingsPlanRecurringFee'
            THEN coalesce({{ c.whole_money("savings_plan_total_commitment_to_date") }}, {{ c.whole_money("line_item_unblended_cost") }})
                - coalesce({{ c.whole_money("savings_plan_used_commitment") }}, 0)
        WHEN {{ kind }} IN ('SavingsPlanNegation', 'SavingsPlanUpfrontFee') THEN 0
        WHEN {{ kind }} = 'DiscountedUsage'
            THEN coalesce({{ c.whole_money("reservation_effective_cost") }}, {{ c.whole_money("line_item_unblended_cost") }})
        WHEN {{ kind }} = 'RIFee'
            THEN coalesce({{ c.whole_money("reservation_unused_amortized_upfront_fee_for_billing_period") }}, 0)
                + coalesce({{ c.whole_money("reservation_unused_recurring_fee") }}, 0)
        WHEN {{ kind }} = 'Fee' AND {{ c.text("reservation_reservation_a_r_n") }} IS NOT NULL AND NOT {{ block_fee }} THEN 0
        ELSE {{ c.whole_money("line_item_unblended_cost") }}
    END::DECIMAL(38, 12) AS effective_cost,
    {{ c.money("pricing_public_on_demand_cost") }} AS list_cost,
    upper({{ c.text("line_item_currency_code") }}) AS billing_currency,
    'reported' AS basis,
    {{ c.instant("line_item_usage_start_date") }} AS charged_from,
    {{ c.instant("line_item_usage_end_date") }} AS charged_until,
    {{ kind }} IN ('Fee', 'Refund') AND {{ block_fee }} AS is_block_fee,
    coalesce({{ c.instant("reservation_start_time") }}, {{ c.instant("line_item_usage_start_date") }}) AS block_from,
    coalesce({{ c.instant("reservation_end_time") }}, {{ c.instant("line_item_usage_end_date") }}) AS block_until
    {# the same amounts in 1e-12, where they can be added up as whole numbers: it is cheaper #}
    {% for name, expression in units.items() %}
    , {{ expression }} AS {{ name }}_units
    {% endfor %}
FROM {{ relation }}
{% if c.has("line_item_operation") %}
WHERE {{ c.text("line_item_operation") }} IS NULL OR {{ c.text("line_item_operation") }} NOT IN ('EKSPod-EC2', 'ECSTask-EC2')
{% endif %}
