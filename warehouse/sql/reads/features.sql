-- Features, shared pools and the unallocated rest: dollars of the last $days days up to $through and of as many before
-- them; unit cost of the last $unit_days days whose outcomes have settled, and of the $unit_baseline_days before them.
WITH cost AS (
    SELECT
        feature,
        sum(effective_cost_before_credits_usd) FILTER (WHERE charge_date > $through::DATE - $days) AS cost_usd,
        sum(effective_cost_before_credits_usd) FILTER (WHERE charge_date <= $through::DATE - $days) AS previous_cost_usd
    FROM marts.feature_cost_daily
    WHERE charge_date BETWEEN $through::DATE - 2 * $days + 1 AND $through::DATE
    GROUP BY feature
),
month_to_date AS (
    SELECT feature, sum(effective_cost_before_credits_usd) AS month_to_date_usd
    FROM marts.feature_cost_daily
    WHERE charge_date BETWEEN date_trunc('month', $through::DATE) AND $through::DATE
    GROUP BY feature
),
unit_days AS (
    SELECT
        feature,
        serving_cost_usd,
        unbilled_estimate_usd,
        tasks_with_outcome,
        successful_tasks,
        row_number() OVER (PARTITION BY feature ORDER BY usage_date DESC) AS age
    FROM marts.feature_unit_economics_daily
    WHERE usage_date <= $through::DATE AND is_outcome_settled AND is_settled
      AND successful_tasks IS NOT NULL AND serving_cost_usd IS NOT NULL
),
unit AS (
    SELECT
        feature,
        sum(serving_cost_usd) FILTER (WHERE age <= $unit_days) AS unit_cost_usd,
        sum(unbilled_estimate_usd) FILTER (WHERE age <= $unit_days) AS estimate_usd,
        sum(successful_tasks) FILTER (WHERE age <= $unit_days)::BIGINT AS successful_tasks,
        sum(tasks_with_outcome) FILTER (WHERE age <= $unit_days)::BIGINT AS tasks_with_outcome,
        sum(serving_cost_usd) FILTER (WHERE age > $unit_days) AS previous_unit_cost_usd,
        sum(successful_tasks) FILTER (WHERE age > $unit_days)::BIGINT AS previous_successful_tasks,
        sum(tasks_with_outcome) FILTER (WHERE age > $unit_days)::BIGINT AS previous_tasks_with_outcome
    FROM unit_days
    WHERE age <= $unit_days + $unit_baseline_days
    GROUP BY feature
)
SELECT
    c.feature,
    CASE
        WHEN c.feature = 'unallocated' THEN 'unallocated'
        WHEN starts_with(c.feature, 'shared: ') THEN 'shared'
        ELSE 'feature'
    END AS kind,
    f.owner,
    coalesce(f.unit, 'task') AS unit,
    f.monthly_budget_usd,
    coalesce(c.cost_usd, 0)::DECIMAL(38, 12) AS cost_usd,
    c.previous_cost_usd::DECIMAL(38, 12) AS previous_cost_usd,
    coalesce(m.month_to_date_usd, 0)::DECIMAL(38, 12) AS month_to_date_usd,
    u.tasks_with_outcome,
    u.successful_tasks,
    (u.unit_cost_usd / nullif(u.successful_tasks, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_success_usd,
    (u.previous_unit_cost_usd / nullif(u.previous_successful_tasks, 0))::DECIMAL(38, 9)::DECIMAL(38, 12)
        AS previous_cost_per_success_usd,
    CASE WHEN u.unit_cost_usd > 0 THEN round(least(1, u.estimate_usd / u.unit_cost_usd), 6) END::DECIMAL(9, 6)
        AS estimated_share,
    round(u.successful_tasks / nullif(u.tasks_with_outcome, 0), 6)::DECIMAL(9, 6) AS success_rate,
    round(u.previous_successful_tasks / nullif(u.previous_tasks_with_outcome, 0), 6)::DECIMAL(9, 6)
        AS previous_success_rate
FROM cost AS c
LEFT JOIN month_to_date AS m ON m.feature = c.feature
LEFT JOIN unit AS u ON u.feature = c.feature
LEFT JOIN core.features AS f ON f.feature = c.feature
ORDER BY cost_usd DESC, c.feature
