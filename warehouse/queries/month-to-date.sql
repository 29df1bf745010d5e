-- This month so far, the forecast to its end and the budget, per feature and for all AI spend: the report's figures.
WITH so_far AS (
    SELECT c.feature, sum(c.effective_cost_before_credits_usd) AS month_to_date_usd
    FROM marts.feature_cost_daily AS c
    CROSS JOIN ops.reported AS r
    WHERE c.charge_date BETWEEN date_trunc('month', r.data_through) AND r.data_through
      AND NOT starts_with(c.feature, 'shared: ')
    GROUP BY c.feature
),
to_come AS (
    SELECT f.feature, sum(f.mean_usd) AS forecast_usd
    FROM ops.forecasts AS f
    CROSS JOIN ops.reported AS r
    WHERE f.as_of = r.as_of AND f.forecast_date > r.data_through AND f.forecast_date <= last_day(r.data_through)
    GROUP BY f.feature
),
features AS (
    SELECT
        s.feature,
        r.data_through,
        s.month_to_date_usd,
        s.month_to_date_usd + CASE WHEN r.data_through = last_day(r.data_through) THEN 0 ELSE t.forecast_usd END
            AS month_end_usd,
        b.monthly_budget_usd
    FROM so_far AS s
    CROSS JOIN ops.reported AS r
    LEFT JOIN to_come AS t ON t.feature = s.feature
    LEFT JOIN core.features AS b ON b.feature = s.feature
),
with_total AS (
    SELECT feature, data_through, month_to_date_usd, month_end_usd, monthly_budget_usd, FALSE AS is_total FROM features
    UNION ALL
    SELECT
        'all AI spend',
        any_value(data_through),
        sum(month_to_date_usd),
        -- What has no forecast counts with what it has cost so far.
        sum(coalesce(month_end_usd, month_to_date_usd)),
        -- As forecast: none where a feature has none, or much belongs to no feature.
        (
            SELECT m.monthly_budget_usd
            FROM ops.month_end_forecasts AS m
            JOIN ops.reported AS r ON r.as_of = m.as_of AND m.month = date_trunc('month', r.data_through)
            WHERE m.feature = 'all features'
        ),
        TRUE
    FROM features
    HAVING count(*) > 0
)
SELECT
    feature,
    data_through,
    month_to_date_usd::DECIMAL(38, 2) AS month_to_date_usd,
    month_end_usd::DECIMAL(38, 2) AS month_end_usd,
    monthly_budget_usd::DECIMAL(38, 2) AS monthly_budget_usd,
    round(100 * month_to_date_usd / nullif(monthly_budget_usd, 0), 1) AS budget_used_percent,
    round(100 * month_end_usd / nullif(monthly_budget_usd, 0), 1) AS budget_at_month_end_percent
FROM with_total
ORDER BY is_total DESC, month_end_usd DESC NULLS LAST, month_to_date_usd DESC, feature
