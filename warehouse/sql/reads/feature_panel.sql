-- Cost and telemetry per feature and day; what is unknown or has not settled is NaN. `place`: 0 is `through`, -1 the day before.
SELECT
    u.feature,
    date_diff('day', {{ through | literal }}::DATE, u.usage_date) AS place,
    coalesce(CASE WHEN u.is_settled THEN u.effective_cost_before_credits_usd END::DOUBLE, 'NaN'::DOUBLE) AS cost_usd,
    coalesce(CASE WHEN u.is_settled THEN u.serving_cost_usd END::DOUBLE, 'NaN'::DOUBLE) AS serving_cost_usd,
    coalesce(CASE WHEN u.is_settled THEN u.training_cost_usd END::DOUBLE, 'NaN'::DOUBLE) AS training_cost_usd,
    coalesce(u.calls::DOUBLE, 'NaN'::DOUBLE) AS calls,
    coalesce(u.retries::DOUBLE, 'NaN'::DOUBLE) AS retries,
    coalesce(u.failed_calls::DOUBLE, 'NaN'::DOUBLE) AS failed_calls,
    coalesce(u.tasks::DOUBLE, 'NaN'::DOUBLE) AS tasks,
    coalesce(CASE WHEN o.has_settled THEN u.successful_tasks END::DOUBLE, 'NaN'::DOUBLE) AS successful_tasks,
    coalesce(CASE WHEN o.has_settled THEN u.tasks_with_outcome END::DOUBLE, 'NaN'::DOUBLE) AS tasks_with_outcome
FROM marts.feature_unit_economics_daily AS u
LEFT JOIN core.features AS f ON f.feature = u.feature
CROSS JOIN (SELECT max(usage_date) AS usage_date FROM core.usage) AS t
CROSS JOIN LATERAL (
    SELECT
        u.usage_date + coalesce(f.outcome_settles_days, 0) <= least({{ through | literal }}::DATE, t.usage_date)
            AS has_settled
) AS o
WHERE u.usage_date BETWEEN {{ first | literal }}::DATE AND {{ through | literal }}::DATE
    AND NOT starts_with(u.feature, {{ pool | literal }})
