-- What telemetry saw, per day, feature, provider, model and task type: calls, tasks, outcomes, tokens.
--
-- Grain: one row per usage_date, feature, provider, model and task_type.
-- Calendar: only days with calls. Absence means that no call was reported, which is no proof of none.
-- Units: counts and tokens; gpu_seconds in seconds; estimated_cost_usd in US dollars, tokens × the price
--   of the call's moment (core.prices), null where any call has no known price.
-- Why a filter: a call that two sources report (same provider and response id, or same task, attempt and
--   moment) counts once. A task counts once, in the row of its first call and on that call's UTC day;
--   calls and tokens count on their own day. A call without a task id is no task.
-- Per task: staging.tasks, which is private to the writer.
-- Columns:
--   usage_date: UTC day.
--   feature: the feature that the call names; 'unallocated' where it names none.
--   retries: calls whose attempt is above 1.
--   tasks: tasks whose first call is in this row.
--   successful_tasks: of these, tasks whose last known outcome is in the feature's success list; null where no outcome is known or the feature has no list.
--   tasks_with_outcome: of these, tasks whose outcome is known.
--   input_tokens: uncached input only; the five kinds of tokens are disjoint.
--   active_users: different users of the row's calls; null where no call names one. Rows cannot be added up.
--   unpriced_calls: calls whose model has no known price, or that report no tokens; none of those that failed without any.
--   batch_calls: calls that the provider's batch tier served.
--   batch_estimated_cost_usd: their part of estimated_cost_usd.
--   logged_cost_usd: what the logs' own tools priced the calls at, an estimate of theirs; null where any call has none.
WITH tasks AS (
    SELECT
        t.task_date AS usage_date,
        t.feature,
        t.provider,
        t.model,
        t.task_type,
        count(*) AS tasks,
        count(t.outcome) AS tasks_with_outcome,
        count(*) FILTER (WHERE s.outcome IS NOT NULL) AS successful_tasks,
        bool_or(l.feature IS NOT NULL) AS has_success_list
    FROM staging.tasks AS t
    LEFT JOIN core.feature_success AS s ON s.feature = t.feature AND s.outcome = t.outcome
    LEFT JOIN (SELECT DISTINCT feature FROM core.feature_success) AS l ON l.feature = t.feature
    GROUP BY ALL
),
traffic AS (
    SELECT
        usage_hour::DATE AS usage_date,
        feature,
        provider,
        model,
        task_type,
        sum(calls)::BIGINT AS calls,
        sum(failed_calls)::BIGINT AS failed_calls,
        sum(retries)::BIGINT AS retries,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
        sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
        sum(tool_calls)::BIGINT AS tool_calls,
        sum(gpu_seconds)::DOUBLE AS gpu_seconds,
        (sum(calls) - sum(priced_calls))::BIGINT AS unpriced_calls,
        sum(estimated_cost_usd)::DECIMAL(38, 12) AS estimated_cost_usd,
        sum(batch_calls)::BIGINT AS batch_calls,
        sum(batch_estimated_cost_usd)::DECIMAL(38, 12) AS batch_estimated_cost_usd,
        CASE WHEN sum(calls) = sum(logged_calls) THEN sum(logged_cost_usd) END::DECIMAL(38, 12) AS logged_cost_usd
    FROM priced_hours
    GROUP BY ALL
),
users AS (
    SELECT r.* EXCLUDE (usage_id), d.active_users
    FROM (SELECT usage_id, count(DISTINCT user_id) AS active_users FROM user_days GROUP BY usage_id) AS d
    JOIN usage_rows AS r USING (usage_id)
    WHERE d.active_users > 0
)
SELECT
    c.usage_date,
    c.feature,
    c.provider,
    c.model,
    c.task_type,
    c.calls,
    c.failed_calls,
    c.retries,
    coalesce(t.tasks, 0) AS tasks,
    CASE WHEN t.tasks_with_outcome > 0 AND t.has_success_list THEN t.successful_tasks END AS successful_tasks,
    coalesce(t.tasks_with_outcome, 0) AS tasks_with_outcome,
    c.input_tokens,
    c.cache_read_tokens,
    c.cache_write_tokens,
    c.output_tokens,
    c.reasoning_tokens,
    c.tool_calls,
    c.gpu_seconds,
    u.active_users,
    c.unpriced_calls,
    CASE WHEN c.unpriced_calls = 0 THEN c.estimated_cost_usd END AS estimated_cost_usd,
    c.batch_calls,
    CASE WHEN c.unpriced_calls = 0 THEN coalesce(c.batch_estimated_cost_usd, 0) END::DECIMAL(38, 12)
        AS batch_estimated_cost_usd,
    c.logged_cost_usd
FROM traffic AS c
LEFT JOIN tasks AS t
    ON t.usage_date = c.usage_date
    AND t.feature = c.feature
    AND t.provider IS NOT DISTINCT FROM c.provider
    AND t.model IS NOT DISTINCT FROM c.model
    AND t.task_type IS NOT DISTINCT FROM c.task_type
LEFT JOIN users AS u
    ON u.usage_date = c.usage_date
    AND u.feature = c.feature
    AND u.provider IS NOT DISTINCT FROM c.provider
    AND u.model IS NOT DISTINCT FROM c.model
    AND u.task_type IS NOT DISTINCT FROM c.task_type
