-- What each user (a keyed hash) called in each month, per feature, plan, provider and model.
--
-- Grain: one row per usage_month, feature, plan, user_hash, provider and model. Private, as staging.tasks.
-- Calendar: only months with calls. Calls without a user have a null user_hash, as a user of their own.
-- Units: counts and tokens; gpu_seconds in seconds; logged_cost_usd in US dollars.
-- Columns:
--   usage_month: first UTC day of the month of the calls.
--   active_days: UTC days with a call.
--   tasks: different tasks with a call in this row; one that spans rows is in each of them.
--   input_tokens: uncached input only; the five kinds of tokens are disjoint.
SELECT
    date_trunc('month', called_at)::DATE AS usage_month,
    coalesce(feature, 'unallocated') AS feature,
    plan,
    user_hash,
    provider,
    model,
    count(DISTINCT called_at::DATE) AS active_days,
    count(*) AS calls,
    count(*) FILTER (WHERE status = 'error') AS failed_calls,
    count(DISTINCT task_id) AS tasks,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
    sum(gpu_seconds::DECIMAL(18, 3))::DOUBLE AS gpu_seconds,
    CASE WHEN count(*) = count(logged_cost_usd) THEN sum(logged_cost_usd) END::DECIMAL(38, 12) AS logged_cost_usd
FROM staging.stg_calls
WHERE is_duplicate IS NOT TRUE
GROUP BY ALL
