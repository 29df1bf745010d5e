-- Waste of each feature over its last $days settled days, by kind.
WITH ends AS (
    SELECT feature, max(charge_date) FILTER (WHERE is_settled) AS last_day FROM marts.feature_cost_daily GROUP BY feature
)
SELECT w.feature, w.waste_kind, sum(w.waste_usd)::DECIMAL(38, 12) AS waste_usd
FROM marts.waste_daily AS w
JOIN ends AS e ON e.feature = w.feature
WHERE w.usage_date > e.last_day - $days AND w.usage_date <= e.last_day
GROUP BY w.feature, w.waste_kind
ORDER BY w.feature, w.waste_kind
