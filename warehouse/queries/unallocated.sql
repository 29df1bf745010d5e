-- The AI dollars that no rule takes, last 30 days: what to write a rule for next.
WITH newest AS (
    SELECT data_through AS charge_date FROM ops.reported
)
SELECT
    a.provider,
    a.service_name,
    a.sub_account_id,
    a.api_key_id,
    a.model,
    a.ai_kind,
    sum(a.effective_cost_usd)::DECIMAL(38, 2) AS cost_usd,
    min(a.charge_date) AS first_charge_date,
    max(a.charge_date) AS last_charge_date
FROM core.allocations AS a
CROSS JOIN newest AS n
WHERE a.feature = 'unallocated' AND a.charge_date BETWEEN n.charge_date - 29 AND n.charge_date
  AND a.charge_category IS DISTINCT FROM 'Credit'
GROUP BY a.provider, a.service_name, a.sub_account_id, a.api_key_id, a.model, a.ai_kind
ORDER BY cost_usd DESC NULLS LAST, a.provider, a.service_name, a.sub_account_id, a.api_key_id, a.model
LIMIT 50
