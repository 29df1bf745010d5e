-- What each feature's self-hosted models cost over its last $days settled days, idle hours included.
WITH ends AS (
    SELECT feature, max(charge_date) FILTER (WHERE is_settled) AS last_day FROM marts.feature_cost_daily GROUP BY feature
)
SELECT g.feature, sum(g.cost_usd)::DECIMAL(38, 12) AS cost_usd, sum(g.idle_cost_usd)::DECIMAL(38, 12) AS idle_cost_usd
FROM marts.gpu_economics_daily AS g
JOIN ends AS e ON e.feature = g.feature
WHERE g.usage_date > e.last_day - $days AND g.usage_date <= e.last_day
  AND ($feature IS NULL OR g.feature = $feature)
GROUP BY g.feature
ORDER BY g.feature
