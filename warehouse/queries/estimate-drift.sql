-- How far tokens × price was from the bill, per provider and model, in the last 30 settled days.
WITH newest AS (
    SELECT max(data_through) AS usage_date FROM ops.reported
)
SELECT
    u.provider,
    u.model,
    sum(u.estimated_cost_usd)::DECIMAL(38, 2) AS estimated_usd,
    sum(u.effective_cost_before_credits_usd)::DECIMAL(38, 2) AS billed_usd,
    sum(u.estimate_drift_usd)::DECIMAL(38, 2) AS drift_usd,
    CASE WHEN sum(u.effective_cost_before_credits_usd) > 0
        THEN round(100 * sum(u.estimate_drift_usd) / sum(u.effective_cost_before_credits_usd), 1)
    END AS drift_percent
FROM marts.unit_economics_daily AS u
CROSS JOIN newest AS n
WHERE u.usage_date BETWEEN n.usage_date - 29 AND n.usage_date AND u.estimate_drift_usd IS NOT NULL
GROUP BY u.provider, u.model
ORDER BY abs(sum(u.estimate_drift_usd)) DESC, u.provider, u.model
