-- What a million tokens of each self-hosted model cost in the last 30 settled days, with idle hours and without.
WITH newest AS (
    SELECT max(data_through) AS usage_date FROM ops.reported
)
SELECT
    g.feature,
    g.model,
    g.gpu_type,
    sum(g.gpu_hours)::DECIMAL(38, 1) AS gpu_hours,
    round(100 * sum(g.busy_gpu_hours) / nullif(sum(g.gpu_hours) FILTER (WHERE g.utilisation IS NOT NULL), 0), 1)
        AS utilised_percent,
    sum(g.cost_usd)::DECIMAL(38, 2) AS cost_usd,
    sum(g.idle_cost_usd)::DECIMAL(38, 2) AS idle_cost_usd,
    (sum(g.cost_usd) * 1000000 / nullif(sum(g.tokens) FILTER (WHERE g.cost_usd IS NOT NULL), 0))::DECIMAL(38, 4)
        AS usd_per_million_tokens,
    (sum(g.busy_cost_usd) * 1000000 / nullif(sum(g.tokens) FILTER (WHERE g.busy_cost_usd IS NOT NULL), 0))::DECIMAL(38, 4)
        AS busy_usd_per_million_tokens
FROM marts.gpu_economics_daily AS g
CROSS JOIN newest AS n
WHERE g.usage_date BETWEEN n.usage_date - 29 AND n.usage_date
GROUP BY g.feature, g.model, g.gpu_type
ORDER BY cost_usd DESC NULLS LAST, g.feature, g.model
