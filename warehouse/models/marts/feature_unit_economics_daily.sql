-- What one call, one task and one successful task of a feature costs, per day.
--
-- Grain: one row per feature and usage_date, for features with telemetry or with a cost.
-- Calendar: complete from the feature's first day in bill or telemetry to the last day of either. A day
--   without telemetry is unknown (null), not zero: no call seen is not the same as no call made.
-- Units: counts; US dollars. Unit costs divide serving_cost_usd and are rounded to 9 decimals.
--   The five token kinds are disjoint. A task belongs to the UTC day of its first call.
-- Success: a task counts when its outcome is in the feature's success list; no outcome is unknown, never a
--   failure. successful_tasks is null where no outcome is known or the feature has no success rule.
--   Cost with no success at all has no cost per success: it is null and is_zero_success is true.
--   Outcomes of a day may still come while is_outcome_settled is false.
-- Columns:
--   usage_date: UTC day.
--   calls: requests to a model, failed ones and retries included.
--   failed_calls: calls that ended in an error.
--   retries: calls whose attempt is above 1.
--   tasks: tasks whose first call was on this day.
--   successful_tasks: of these, tasks whose outcome is in the feature's success list.
--   tasks_with_outcome: of these, tasks whose outcome is known.
--   input_tokens: uncached input.
--   estimated_cost_usd: tokens × dated price; null until priced.
--   effective_cost_usd: amortised, credits included.
--   effective_cost_before_credits_usd: amortised, credits left out.
--   training_cost_usd: of it, training, fine-tuning and evaluation, which no call causes.
--   unbilled_estimate_usd: beside it, what the calls that no bill is there for come to, as far as other calls of the feature
--     have one: their scaled estimate, or their estimate where there is no scale. 0 where there are none; null where one of
--     them has no known price either (prices.yml can give it). Calls that are billed by another provider are none of these.
--   serving_cost_usd: what it cost to serve the day's calls, the numerator of the unit costs: the cost before credits without
--     training, and the estimate of what is not billed; null where that is not known. Of a feature without a billed call on
--     any day, what it costs.
--   cost_per_call_usd: per call.
--   cost_per_task_usd: per task.
--   cost_per_successful_task_usd: per successful task; all of the day's serving cost is in it, failures included.
--   active_users: different users of the day's calls; null where no call names one.
--   cost_per_active_user_usd: per active user.
--   revenue_usd: revenue per unit × successful tasks, and the day's part of revenue per month, as features.yml has them;
--     null where it has neither (revenue per user: marts.user_cost_monthly).
--   margin_usd: revenue minus effective_cost_before_credits_usd and unbilled_estimate_usd; null where one is not known.
--   basis: 'estimated' where some of the dollars are.
--   is_zero_success: outcomes are known, none is a success, and serving them cost something.
--   is_outcome_settled: no more outcomes are to be expected for the day's tasks.
--   is_settled: the day's cost is final as far as the feature's sources promise.
WITH usage AS (
    SELECT
        feature,
        usage_date,
        sum(calls) AS calls,
        sum(failed_calls) AS failed_calls,
        sum(retries) AS retries,
        sum(tasks) AS tasks,
        sum(successful_tasks) AS successful_tasks,
        sum(tasks_with_outcome) AS tasks_with_outcome,
        sum(input_tokens) AS input_tokens,
        sum(cache_read_tokens) AS cache_read_tokens,
        sum(cache_write_tokens) AS cache_write_tokens,
        sum(output_tokens) AS output_tokens,
        sum(reasoning_tokens) AS reasoning_tokens,
        sum(tool_calls) AS tool_calls,
        sum(gpu_seconds::DECIMAL(38, 3))::DOUBLE AS gpu_seconds,
        CASE WHEN count(*) = count(estimated_cost_usd) THEN sum(estimated_cost_usd) END AS estimated_cost_usd
    FROM core.usage
    GROUP BY feature, usage_date
),
users AS (
    SELECT r.feature, r.usage_date, count(DISTINCT d.user_id) AS active_users
    FROM user_days AS d
    JOIN usage_rows AS r USING (usage_id)
    WHERE d.user_id IS NOT NULL
    GROUP BY r.feature, r.usage_date
),
training AS (
    SELECT
        feature,
        usage_date,
        CASE WHEN count(*) = count(training_cost_usd) THEN sum(training_cost_usd) END AS training_usd
    FROM marts.unit_economics_daily
    GROUP BY feature, usage_date
),
-- Calls without a bill, of features that have calls with one: the bill is not there yet, or never comes.
billed_features AS (
    SELECT DISTINCT feature FROM marts.unit_economics_daily WHERE calls > 0 AND is_billed
),
unbilled AS (
    SELECT
        feature,
        usage_date,
        CASE WHEN count(*) = count(billed_or_estimated_cost_usd) THEN sum(billed_or_estimated_cost_usd) END AS estimate_usd
    FROM marts.unit_economics_daily
    WHERE calls > 0 AND NOT is_billed AND NOT is_billed_by_other AND feature IN (SELECT feature FROM billed_features)
    GROUP BY feature, usage_date
),
telemetry_end AS (
    SELECT max(usage_date) AS usage_date FROM core.usage
),
known_days AS (
    SELECT feature, charge_date AS usage_date FROM marts.feature_cost_daily
    UNION ALL
    SELECT feature, usage_date FROM usage
),
calendar AS (
    SELECT
        first.feature,
        unnest(generate_series(first.usage_date, last_day.usage_date, INTERVAL 1 DAY))::DATE AS usage_date
    FROM (SELECT feature, min(usage_date) AS usage_date FROM known_days GROUP BY feature) AS first
    CROSS JOIN (SELECT max(usage_date) AS usage_date FROM known_days) AS last_day
),
joined AS (
    SELECT
        d.usage_date,
        d.feature,
        u.* EXCLUDE (feature, usage_date),
        a.active_users,
        f.revenue_per_unit_usd * u.successful_tasks AS unit_revenue_usd,
        f.revenue_per_month_usd / day(last_day(d.usage_date)) AS month_revenue_usd,
        c.effective_cost_usd,
        c.effective_cost_before_credits_usd,
        CASE WHEN r.feature IS NULL THEN 0 ELSE r.training_usd END AS training_cost_usd,
        CASE WHEN n.feature IS NULL THEN 0 ELSE n.estimate_usd END AS unbilled_estimate_usd,
        c.effective_cost_before_credits_usd + unbilled_estimate_usd AS whole_cost_usd,
        whole_cost_usd - training_cost_usd AS serving_cost_usd,
        CASE WHEN unbilled_estimate_usd > 0 THEN 'estimated' ELSE coalesce(c.basis, 'reported') END AS basis,
        coalesce(d.usage_date + f.outcome_settles_days <= t.usage_date, FALSE) AS is_outcome_settled,
        coalesce(c.is_settled, FALSE) AS is_settled
    FROM calendar AS d
    LEFT JOIN usage AS u ON u.feature = d.feature AND u.usage_date = d.usage_date
    LEFT JOIN users AS a ON a.feature = d.feature AND a.usage_date = d.usage_date
    LEFT JOIN marts.feature_cost_daily AS c ON c.feature = d.feature AND c.charge_date = d.usage_date
    LEFT JOIN training AS r ON r.feature = d.feature AND r.usage_date = d.usage_date
    LEFT JOIN unbilled AS n ON n.feature = d.feature AND n.usage_date = d.usage_date
    LEFT JOIN core.features AS f ON f.feature = d.feature
    CROSS JOIN telemetry_end AS t
)
SELECT
    usage_date,
    feature,
    calls::BIGINT AS calls,
    failed_calls::BIGINT AS failed_calls,
    retries::BIGINT AS retries,
    tasks::BIGINT AS tasks,
    successful_tasks::BIGINT AS successful_tasks,
    tasks_with_outcome::BIGINT AS tasks_with_outcome,
    input_tokens::BIGINT AS input_tokens,
    cache_read_tokens::BIGINT AS cache_read_tokens,
    cache_write_tokens::BIGINT AS cache_write_tokens,
    output_tokens::BIGINT AS output_tokens,
    reasoning_tokens::BIGINT AS reasoning_tokens,
    tool_calls::BIGINT AS tool_calls,
    gpu_seconds,
    estimated_cost_usd::DECIMAL(38, 12) AS estimated_cost_usd,
    effective_cost_usd,
    effective_cost_before_credits_usd,
    training_cost_usd::DECIMAL(38, 12) AS training_cost_usd,
    unbilled_estimate_usd::DECIMAL(38, 12) AS unbilled_estimate_usd,
    serving_cost_usd::DECIMAL(38, 12) AS serving_cost_usd,
    (serving_cost_usd / nullif(calls, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_call_usd,
    (serving_cost_usd / nullif(tasks, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_task_usd,
    (serving_cost_usd / nullif(successful_tasks, 0))::DECIMAL(38, 9)::DECIMAL(38, 12)
        AS cost_per_successful_task_usd,
    active_users::BIGINT AS active_users,
    (serving_cost_usd / nullif(active_users, 0))::DECIMAL(38, 9)::DECIMAL(38, 12)
        AS cost_per_active_user_usd,
    CASE WHEN coalesce(unit_revenue_usd, month_revenue_usd) IS NOT NULL
        THEN coalesce(unit_revenue_usd, 0) + coalesce(month_revenue_usd::DECIMAL(38, 12), 0)
    END::DECIMAL(38, 12) AS revenue_usd,
    CASE WHEN coalesce(unit_revenue_usd, month_revenue_usd) IS NOT NULL
        THEN coalesce(unit_revenue_usd, 0) + coalesce(month_revenue_usd::DECIMAL(38, 12), 0) - whole_cost_usd
    END::DECIMAL(38, 12) AS margin_usd,
    coalesce(successful_tasks = 0 AND tasks_with_outcome > 0 AND serving_cost_usd > 0, FALSE)
        AS is_zero_success,
    basis,
    is_outcome_settled,
    is_settled
FROM joined
ORDER BY feature, usage_date
