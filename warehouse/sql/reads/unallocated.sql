-- The largest of what nobody owns, in the last $days days up to $through.
SELECT
    provider,
    service_name,
    sub_account_id,
    api_key_id,
    model,
    ai_kind,
    sum(effective_cost_usd)::DECIMAL(38, 12) AS effective_cost_before_credits_usd
FROM core.allocations
WHERE feature = 'unallocated'
  AND charge_category IS DISTINCT FROM 'Credit'
  AND charge_date BETWEEN $through::DATE - $days + 1 AND $through::DATE
  AND effective_cost_usd IS NOT NULL
GROUP BY ALL
ORDER BY effective_cost_before_credits_usd DESC, provider, service_name, sub_account_id, api_key_id, model
LIMIT $limit
