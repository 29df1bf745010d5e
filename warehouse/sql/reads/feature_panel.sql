-- Cost and telemetry per feature and day; what has not settled is null. `place`: 0 is $through, -1 the day before.
SELECT
    u.feature,
    date_diff('day', $through::DATE, u.usage_date) AS place,
    CASE WHEN u.is_settled THEN u.effective_cost_before_credits_usd END::DOUBLE AS cost_usd,
    u.calls::DOUBLE AS calls,
    u.retries::DOUBLE AS retries,
    u.failed_calls::DOUBLE AS failed_calls,
    u.tasks::DOUBLE AS tasks,
    CASE WHEN o.has_settled THEN u.successful_tasks END::DOUBLE AS successful_tasks,
    CASE WHEN o.has_settled THEN u.tasks_with_outcome END::DOUBLE AS tasks_with_outcome
FROM marts.feature_unit_economics_daily AS u
LEFT JOIN core.features AS f ON f.feature = u.feature
CROSS JOIN (SELECT max(usage_date) AS usage_date FROM core.usage) AS t
CROSS JOIN LATERAL (
    SELECT u.usage_date + coalesce(f.outcome_settles_days, 0) <= least($through::DATE, t.usage_date) AS has_settled
) AS o
WHERE u.usage_date BETWEEN $first::DATE AND $through::DATE AND NOT starts_with(u.feature, $pool)
