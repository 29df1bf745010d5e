-- What each member of each dimension of a feature cost in two periods, and the first day on which it cost anything.
WITH members AS (
    SELECT charge_date, dimension, member, effective_cost_before_credits_usd AS cost_usd
    FROM marts.feature_member_daily
    WHERE feature = $feature
    UNION ALL
    SELECT charge_date, 'feature', feature, effective_cost_before_credits_usd
    FROM marts.feature_cost_daily
    WHERE $feature = 'all features' AND NOT starts_with(feature, 'shared: ')
)
SELECT
    dimension,
    member,
    coalesce(sum(cost_usd) FILTER (WHERE is_counted AND charge_date BETWEEN $base_since AND $base_until), 0)::DECIMAL(38, 12)
        AS before_usd,
    coalesce(sum(cost_usd) FILTER (WHERE is_counted AND charge_date BETWEEN $since AND $until), 0)::DECIMAL(38, 12) AS after_usd,
    min(charge_date) FILTER (WHERE cost_usd > 0) AS first_seen
FROM (
    SELECT *, ($weekdays >> (isodow(charge_date) - 1)::INTEGER) & 1 = 1 AS is_counted FROM members
)
GROUP BY dimension, member
HAVING before_usd <> 0 OR after_usd <> 0
ORDER BY dimension, member
