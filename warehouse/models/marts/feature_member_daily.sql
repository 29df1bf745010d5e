-- Which provider, model, key, account, resource or SKU a feature's cost of a day came from.
--
-- Grain: one row per feature, charge_date, dimension and member.
-- Calendar: days on which the member cost something; absence is zero.
-- Units: US dollars, effective cost before credits, as in marts.feature_cost_daily. Each dimension
--   divides the same dollars anew: never add across dimensions.
-- Why a filter: a charge without a member in a dimension is left out of that dimension; credits are left out
--   as in marts.feature_cost_daily; so are amounts unknown in US dollars.
-- Columns:
--   charge_date: UTC day.
--   dimension: provider, model, service_name, api_key_id, sub_account_id, resource_id, sku_meter, token_type or gpu_type.
--   member: the value of that dimension.
--   effective_cost_before_credits_usd: amortised, credits left out.
WITH members AS (
    SELECT
        charge_date,
        feature,
        CASE
            WHEN grouping(provider) = 0 THEN 'provider'
            WHEN grouping(model) = 0 THEN 'model'
            WHEN grouping(service_name) = 0 THEN 'service_name'
            WHEN grouping(api_key_id) = 0 THEN 'api_key_id'
            WHEN grouping(sub_account_id) = 0 THEN 'sub_account_id'
            WHEN grouping(resource_id) = 0 THEN 'resource_id'
            WHEN grouping(sku_meter) = 0 THEN 'sku_meter'
            WHEN grouping(token_type) = 0 THEN 'token_type'
            WHEN grouping(gpu_type) = 0 THEN 'gpu_type'
        END AS dimension,
        CASE
            WHEN grouping(provider) = 0 THEN provider
            WHEN grouping(model) = 0 THEN model
            WHEN grouping(service_name) = 0 THEN service_name
            WHEN grouping(api_key_id) = 0 THEN api_key_id
            WHEN grouping(sub_account_id) = 0 THEN sub_account_id
            WHEN grouping(resource_id) = 0 THEN resource_id
            WHEN grouping(sku_meter) = 0 THEN sku_meter
            WHEN grouping(token_type) = 0 THEN token_type
            WHEN grouping(gpu_type) = 0 THEN gpu_type
        END AS member,
        sum(effective_cost_usd) AS effective_cost_before_credits_usd
    FROM core.allocations
    WHERE charge_category IS DISTINCT FROM 'Credit' AND effective_cost_usd IS NOT NULL
    GROUP BY GROUPING SETS (
        (charge_date, feature, provider),
        (charge_date, feature, model),
        (charge_date, feature, service_name),
        (charge_date, feature, api_key_id),
        (charge_date, feature, sub_account_id),
        (charge_date, feature, resource_id),
        (charge_date, feature, sku_meter),
        (charge_date, feature, token_type),
        (charge_date, feature, gpu_type)
    )
)
SELECT
    charge_date,
    feature,
    dimension,
    member,
    effective_cost_before_credits_usd::DECIMAL(38, 12) AS effective_cost_before_credits_usd
FROM members
WHERE member IS NOT NULL
ORDER BY feature, dimension, member, charge_date
