-- The API keys that cost most in the last 30 days, the features they pay for, and when each was first seen.
WITH newest AS (
    SELECT max(charge_date) AS charge_date FROM marts.feature_cost_daily
)
SELECT
    a.provider,
    a.api_key_id,
    array_to_string(list_sort(list(DISTINCT a.feature)), ', ') AS features,
    (sum(a.effective_cost_usd) FILTER (WHERE a.charge_date > n.charge_date - 30))::DECIMAL(38, 2) AS cost_usd,
    min(a.charge_date) AS first_charge_date,
    max(a.charge_date) AS last_charge_date
FROM core.allocations AS a
CROSS JOIN newest AS n
WHERE a.api_key_id IS NOT NULL AND a.charge_category IS DISTINCT FROM 'Credit'
GROUP BY a.provider, a.api_key_id
HAVING max(a.charge_date) > max(n.charge_date) - 30
ORDER BY cost_usd DESC NULLS LAST, a.provider, a.api_key_id
LIMIT 50
