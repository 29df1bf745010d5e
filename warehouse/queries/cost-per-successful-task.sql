-- What a successful task of each feature costs: 30 days to last_day, by when outcomes are in, against the 30 before.
WITH newest AS (
    SELECT max(usage_date) AS usage_date
    FROM marts.feature_unit_economics_daily
    WHERE is_settled AND is_outcome_settled AND usage_date <= (SELECT max(data_through) FROM ops.reported)
),
periods AS (
    SELECT
        e.feature,
        e.usage_date > n.usage_date - 30 AS is_recent,
        max(e.usage_date) AS last_day,
        sum(e.serving_cost_usd) AS cost_usd,
        sum(e.unbilled_estimate_usd) AS estimate_usd,
        sum(e.tasks) AS tasks,
        sum(e.tasks_with_outcome) AS tasks_with_outcome,
        sum(e.successful_tasks) AS successful_tasks
    FROM marts.feature_unit_economics_daily AS e
    CROSS JOIN newest AS n
    WHERE e.usage_date BETWEEN n.usage_date - 59 AND n.usage_date
      AND e.is_settled AND e.is_outcome_settled
      AND e.successful_tasks IS NOT NULL AND e.serving_cost_usd IS NOT NULL
    GROUP BY ALL
)
SELECT
    r.feature,
    r.last_day,
    r.cost_usd::DECIMAL(38, 2) AS cost_usd,
    CASE WHEN r.cost_usd > 0 THEN round(100 * least(1, r.estimate_usd / r.cost_usd), 1) END AS estimated_percent,
    r.tasks::BIGINT AS tasks,
    r.successful_tasks::BIGINT AS successful_tasks,
    round(100 * r.successful_tasks / nullif(r.tasks_with_outcome, 0), 1) AS success_percent,
    (r.cost_usd / nullif(r.successful_tasks, 0))::DECIMAL(38, 4) AS cost_per_successful_task_usd,
    (b.cost_usd / nullif(b.successful_tasks, 0))::DECIMAL(38, 4) AS previous_cost_per_successful_task_usd,
    CASE WHEN b.cost_usd > 0
        THEN round(100 * ((r.cost_usd / nullif(r.successful_tasks, 0)) / (b.cost_usd / nullif(b.successful_tasks, 0)) - 1), 1)
    END AS change_percent
FROM periods AS r
LEFT JOIN periods AS b ON b.feature = r.feature AND NOT b.is_recent
WHERE r.is_recent
ORDER BY cost_per_successful_task_usd DESC NULLS LAST, r.feature
