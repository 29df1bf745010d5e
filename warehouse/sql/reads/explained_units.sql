-- Work and its outcomes in two periods, over the days on which both cost and outcomes are known and settled.
SELECT
    usage_date BETWEEN $since AND $until AS is_after,
    coalesce(any_value(f.unit), 'task') AS unit,
    sum(u.tasks)::BIGINT AS tasks,
    sum(u.tasks_with_outcome)::BIGINT AS tasks_with_outcome,
    sum(u.successful_tasks)::BIGINT AS successful_tasks,
    CASE WHEN sum(u.serving_cost_usd) > 0
        THEN round(least(1, sum(u.unbilled_estimate_usd) / sum(u.serving_cost_usd)), 6)
    END::DECIMAL(9, 6) AS estimated_share,
    (sum(u.serving_cost_usd) / nullif(sum(u.successful_tasks), 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_success_usd
FROM marts.feature_unit_economics_daily AS u
LEFT JOIN core.features AS f ON f.feature = u.feature
WHERE u.feature = $feature
    AND ($weekdays >> (isodow(usage_date) - 1)::INTEGER) & 1 = 1
    AND (usage_date BETWEEN $since AND $until OR usage_date BETWEEN $base_since AND $base_until)
    AND u.is_outcome_settled AND u.is_settled AND u.successful_tasks IS NOT NULL
    AND u.serving_cost_usd IS NOT NULL
GROUP BY is_after
