-- Everybody's month so far and the same days of the month before, day by day.
SELECT
    charge_date,
    sum(effective_cost_before_credits_usd)::DECIMAL(38, 12) AS effective_cost_before_credits_usd
FROM marts.feature_cost_daily
WHERE charge_date BETWEEN date_trunc('month', date_trunc('month', $through::DATE) - INTERVAL 1 DAY) AND $through::DATE
GROUP BY charge_date
ORDER BY charge_date
