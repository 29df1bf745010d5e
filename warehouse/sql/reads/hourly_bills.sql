-- What the bill says of the same days' model calls, per feature and settled day: what weights are scaled to. Fine-tuning,
-- training and evaluation are no call's.
SELECT
    a.feature,
    a.charge_date,
    sum(a.effective_cost_usd)::DOUBLE AS cost_usd
FROM core.allocations AS a
JOIN core.feature_settled AS s ON s.feature = a.feature AND a.charge_date <= s.settled_through
WHERE a.ai_kind IN ('llm_api', 'ai_platform') AND a.charge_category IS DISTINCT FROM 'Credit'
  AND coalesce(a.workload, 'unknown') IN ('inference', 'unknown')
  AND a.charge_date >= (SELECT min(usage_hour)::DATE FROM core.usage_hourly)
GROUP BY a.feature, a.charge_date
HAVING count(*) = count(a.effective_cost_usd)
ORDER BY a.feature, a.charge_date
