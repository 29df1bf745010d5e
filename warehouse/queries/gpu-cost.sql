-- What GPU machines cost in the last 30 days, whole (GPU, CPU, memory, fees), and per GPU hour.
WITH newest AS (
    SELECT data_through AS charge_date FROM ops.reported
)
SELECT
    g.feature,
    g.provider,
    g.gpu_type,
    count(DISTINCT g.resource_id) AS machines,
    sum(g.gpu_hours)::DECIMAL(38, 1) AS gpu_hours,
    sum(g.gpu_cost_usd)::DECIMAL(38, 2) AS gpu_cost_usd,
    sum(g.rest_of_machine_cost_usd)::DECIMAL(38, 2) AS rest_of_machine_cost_usd,
    sum(g.effective_cost_before_credits_usd)::DECIMAL(38, 2) AS cost_usd,
    (sum(g.effective_cost_before_credits_usd) / nullif(sum(g.gpu_hours), 0))::DECIMAL(38, 4) AS cost_per_gpu_hour_usd
FROM marts.gpu_cost_daily AS g
CROSS JOIN newest AS n
WHERE g.charge_date BETWEEN n.charge_date - 29 AND n.charge_date
GROUP BY g.feature, g.provider, g.gpu_type
ORDER BY cost_usd DESC NULLS LAST, g.feature, g.provider, g.gpu_type
