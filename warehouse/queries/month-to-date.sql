-- This month so far, the forecast to its end and the budget, per feature.
WITH newest AS (
    SELECT max(charge_date) AS charge_date FROM marts.feature_cost_daily WHERE is_settled
),
so_far AS (
    SELECT c.feature, sum(c.effective_cost_before_credits_usd) AS month_to_date_usd
    FROM marts.feature_cost_daily AS c
    CROSS JOIN newest AS n
    WHERE c.charge_date BETWEEN date_trunc('month', n.charge_date) AND n.charge_date
    GROUP BY c.feature
),
to_come AS (
    SELECT f.feature, sum(f.mean_usd) AS forecast_usd
    FROM ops.forecasts AS f
    CROSS JOIN newest AS n
    WHERE f.as_of = (SELECT max(as_of) FROM ops.forecasts)
      AND f.forecast_date > n.charge_date AND f.forecast_date <= last_day(n.charge_date)
    GROUP BY f.feature
)
SELECT
    s.feature,
    n.charge_date AS data_through,
    s.month_to_date_usd::DECIMAL(38, 2) AS month_to_date_usd,
    (s.month_to_date_usd + CASE WHEN n.charge_date = last_day(n.charge_date) THEN 0 ELSE t.forecast_usd END)::DECIMAL(38, 2)
        AS month_end_usd,
    b.monthly_budget_usd::DECIMAL(38, 2) AS monthly_budget_usd,
    round(100 * s.month_to_date_usd / nullif(b.monthly_budget_usd, 0), 1) AS budget_used_percent,
    round(
        100 * (s.month_to_date_usd + CASE WHEN n.charge_date = last_day(n.charge_date) THEN 0 ELSE t.forecast_usd END)
        / nullif(b.monthly_budget_usd, 0), 1
    ) AS budget_at_month_end_percent
FROM so_far AS s
CROSS JOIN newest AS n
LEFT JOIN to_come AS t ON t.feature = s.feature
LEFT JOIN core.features AS b ON b.feature = s.feature
ORDER BY month_end_usd DESC NULLS LAST, s.month_to_date_usd DESC, s.feature
