-- First and last settled day of every feature that telemetry knows.
SELECT feature, min(usage_date) AS first_day, max(usage_date) FILTER (WHERE is_settled) AS last_day
FROM marts.feature_unit_economics_daily
WHERE feature <> ? AND NOT starts_with(feature, ?)
GROUP BY feature
HAVING last_day IS NOT NULL AND count(calls) > 0
ORDER BY feature
