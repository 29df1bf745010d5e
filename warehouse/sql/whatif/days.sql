-- A feature's settled days of [since, until) as the cost of serving it and units of work: tasks, or calls where telemetry
-- names no task.
SELECT
    usage_date,
    serving_cost_usd AS cost_usd,
    CASE WHEN sum(tasks) OVER () > 0 THEN tasks ELSE calls END AS units
FROM marts.feature_unit_economics_daily
WHERE feature = $feature AND usage_date >= $since AND usage_date < $until AND is_settled
  AND serving_cost_usd IS NOT NULL AND calls IS NOT NULL
ORDER BY usage_date
