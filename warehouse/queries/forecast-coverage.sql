-- Forecasts as issued against what the days have cost since: how many fell inside the interval, by days ahead.
WITH issued AS (
    SELECT
        f.*,
        f.forecast_date - min(f.forecast_date) OVER (PARTITION BY f.as_of, f.feature) + 1 AS lead_days
    FROM ops.forecasts AS f
),
known AS (
    SELECT
        i.*,
        m.effective_cost_before_credits_usd AS actual_usd,
        CASE
            WHEN i.lead_days <= 7 THEN '1-7 days ahead'
            WHEN i.lead_days <= 14 THEN '8-14 days ahead'
            WHEN i.lead_days <= 30 THEN '15-30 days ahead'
            ELSE '31-90 days ahead'
        END AS ahead,
        least(i.lead_days, 31) AS place
    FROM issued AS i
    JOIN marts.feature_cost_daily AS m ON m.feature = i.feature AND m.charge_date = i.forecast_date
    WHERE m.is_settled AND m.effective_cost_before_credits_usd IS NOT NULL
)
SELECT
    ahead,
    count(*) AS days,
    count(DISTINCT as_of) AS issues,
    round(100 * avg((actual_usd BETWEEN lower_80_usd AND upper_80_usd)::INTEGER), 1) AS inside_80_percent,
    round(100 * avg((actual_usd BETWEEN lower_95_usd AND upper_95_usd)::INTEGER), 1) AS inside_95_percent,
    round(100 * sum(abs(actual_usd - mean_usd)) / nullif(sum(abs(actual_usd)), 0), 1) AS error_percent
FROM known
GROUP BY ahead
ORDER BY min(place)
