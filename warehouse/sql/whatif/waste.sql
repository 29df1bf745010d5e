-- Waste of each feature over its last $days settled days, or since its first, by kind; not where some of it is unknown.
WITH ends AS (
    SELECT
        feature,
        max(charge_date) FILTER (WHERE is_settled) AS last_day,
        least($days, last_day - min(charge_date) + 1)::INTEGER AS days
    FROM marts.feature_cost_daily
    GROUP BY feature
)
SELECT w.feature, w.waste_kind, any_value(e.days) AS days, sum(w.waste_usd)::DECIMAL(38, 12) AS waste_usd
FROM marts.waste_daily AS w
JOIN ends AS e ON e.feature = w.feature
WHERE w.usage_date > e.last_day - e.days AND w.usage_date <= e.last_day
GROUP BY w.feature, w.waste_kind
HAVING count(*) = count(w.waste_usd)
ORDER BY w.feature, w.waste_kind
