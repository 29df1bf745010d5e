-- FOCUS 1.0 to 1.4 → the staged charge. A charge belongs to the UTC day on which its charge period
-- starts, also when the period is longer than a day (a monthly fee, an upfront purchase).
SELECT
    {{ c.day("ChargePeriodStart") }} AS charge_date,
    {{ c.day("BillingPeriodStart") }} AS billing_period_start,
    {{ c.text("BillingAccountId") }} AS billing_account_id,
    {{ c.text("SubAccountId") }} AS sub_account_id,
    {{ c.text("SubAccountName") }} AS sub_account_name,
    {{ c.text("InvoiceIssuerName") }} AS invoice_issuer_name,
    {# ProviderName until 1.3, ServiceProviderName from 1.3 on #}
    {{ c.first_text("ServiceProviderName", "ProviderName") }} AS provider_name,
    {{ c.text("ServiceName") }} AS service_name,
    {{ c.text("ServiceCategory") }} AS service_category,
    {{ c.first_text("SkuId", "SkuPriceId") }} AS sku_id,
    {{ c.text("SkuMeter") }} AS sku_meter,
    {{ c.text("ChargeDescription") }} AS charge_description,
    {{ c.text("ChargeCategory") }} AS charge_category,
    {{ c.text("ChargeClass") }} AS charge_class,
    {{ c.text("CommitmentDiscountStatus") }} AS commitment_discount_status,
    {{ c.text("RegionId") }} AS region_id,
    {{ c.text("ResourceId") }} AS resource_id,
    NULL::VARCHAR AS api_key_id,
    NULL::VARCHAR AS model,
    NULL::VARCHAR AS token_type,
    {{ c.tags("Tags") }} AS raw_tags,
    {# the consumed quantity, or the priced one where the bill states no consumed one: never a mix of the two #}
    {% if c.has("ConsumedQuantity") %}
    {{ c.quantity("ConsumedQuantity") }} AS consumed_quantity,
    {{ c.text("ConsumedUnit") }} AS consumed_unit,
    {% else %}
    {{ c.quantity("PricingQuantity") }} AS consumed_quantity,
    {{ c.text("PricingUnit") }} AS consumed_unit,
    {% endif %}
    {{ c.money("BilledCost") }} AS billed_cost,
    {{ c.money("EffectiveCost") }} AS effective_cost,
    {{ c.money("ListCost") }} AS list_cost,
    upper({{ c.text("BillingCurrency") }}) AS billing_currency,
    'reported' AS basis,
    {# not staged: they tell one row from another where two files are compared #}
    {{ c.instant("ChargePeriodStart") }} AS charged_from,
    {{ c.instant("ChargePeriodEnd") }} AS charged_until
    {# the same amounts in 1e-12, where they can be added up as whole numbers: it is cheaper #}
    {% for name, expression in units.items() %}
    , {{ expression }} AS {{ name }}_units
    {% endfor %}
FROM {{ relation }}
