-- Cost and cost per successful task of every feature, day by day; null before the feature's first day, where it is
-- unknown, and (per successful task) until the day's outcomes have settled.
WITH days AS (
    SELECT unnest(generate_series($through::DATE - $days + 1, $through::DATE, INTERVAL 1 DAY))::DATE AS charge_date
)
SELECT
    f.feature,
    list(c.effective_cost_before_credits_usd ORDER BY d.charge_date) AS cost_usd,
    list(
        CASE WHEN u.is_outcome_settled THEN u.cost_per_successful_task_usd END ORDER BY d.charge_date
    ) AS cost_per_success_usd
FROM days AS d
CROSS JOIN (SELECT DISTINCT feature FROM marts.feature_cost_daily) AS f
LEFT JOIN marts.feature_cost_daily AS c ON c.feature = f.feature AND c.charge_date = d.charge_date
LEFT JOIN marts.feature_unit_economics_daily AS u ON u.feature = f.feature AND u.usage_date = d.charge_date
GROUP BY f.feature
ORDER BY f.feature
