-- Models, keys, accounts, resources and SKUs that a feature did not pay for until the last 7 days.
WITH newest AS (
    SELECT max(charge_date) AS charge_date FROM marts.feature_cost_daily
)
SELECT
    m.feature,
    m.dimension,
    m.member,
    min(m.charge_date) AS first_charge_date,
    sum(m.effective_cost_before_credits_usd)::DECIMAL(38, 2) AS cost_usd
FROM marts.feature_member_daily AS m
CROSS JOIN newest AS n
WHERE m.dimension IN ('model', 'api_key_id', 'sub_account_id', 'resource_id', 'sku_meter')
GROUP BY m.feature, m.dimension, m.member
HAVING min(m.charge_date) > max(n.charge_date) - 7
ORDER BY cost_usd DESC NULLS LAST, m.feature, m.dimension, m.member
LIMIT 50
