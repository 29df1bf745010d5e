-- Tasks: the calls that share a task id, whatever their source, provider and model, with the task's outcome.
--
-- Grain: one row per task_id. Private: it names tasks and hashed users and stays out of the published file.
-- Calendar: only tasks that telemetry saw. A call without a task id is no task.
-- Units: counts and tokens; gpu_seconds in seconds; logged_cost_usd in US dollars.
-- Why a filter: a call that is reported twice counts once (stg_calls.is_duplicate).
-- Columns:
--   task_date: UTC day of the task's first call; the whole task belongs to it.
--   feature: the feature that the first call names; 'unallocated' where it names none. So are provider, model, task_type, plan, user_hash, release, prompt_version, api_key_id and source_name the first call's.
--   calls: requests to a model, failed ones and retries included.
--   retries: calls whose attempt is above 1.
--   models: how many different models the task called.
--   most_input_tokens: the largest whole input (cached and written parts included) of one of its calls.
--   input_tokens: uncached input only; the five kinds of tokens are disjoint.
--   logged_cost_usd: what the logs' own tools priced the calls at; null where any call has none.
--   outcome: the last known outcome, from a call or from an outcomes source; null is unknown, never failure.
--   outcome_at: when that outcome was reported.
WITH calls AS (
    SELECT
        task_id,
        min_by(
            {
                'source_name': source_name,
                'feature': feature,
                'provider': provider,
                'model': model,
                'task_type': task_type,
                'plan': plan,
                'user_hash': user_hash,
                'release': release,
                'prompt_version': prompt_version,
                'api_key_id': api_key_id
            },
            (called_at, coalesce(attempt, 1), coalesce(response_id, ''), coalesce(model, ''), coalesce(feature, ''))
        ) AS first,
        min(called_at) AS started_at,
        max(called_at) AS ended_at,
        count(*) AS calls,
        count(*) FILTER (WHERE status = 'error') AS failed_calls,
        count(*) FILTER (WHERE attempt > 1) AS retries,
        count(DISTINCT model) AS models,
        max(coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0))
            AS most_input_tokens,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
        sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
        sum(tool_calls)::BIGINT AS tool_calls,
        -- A sum of doubles depends on the order of rows; thousandths of a second do not.
        sum(gpu_seconds::DECIMAL(18, 3))::DOUBLE AS gpu_seconds,
        CASE WHEN count(*) = count(logged_cost_usd) THEN sum(logged_cost_usd) END::DECIMAL(38, 12) AS logged_cost_usd
    FROM staging.stg_calls
    WHERE task_id IS NOT NULL AND is_duplicate IS NOT TRUE
    GROUP BY task_id
),
-- An outcome may come late, in another report of the call or from another source: all reports count, the last
-- one wins, and of two at the same moment the greater text, so that the order of loading does not matter.
outcomes AS (
    SELECT task_id, max_by(outcome, (outcome_at, outcome)) AS outcome, max(outcome_at) AS outcome_at
    FROM (
        SELECT task_id, outcome, called_at AS outcome_at
        FROM staging.stg_calls
        WHERE task_id IS NOT NULL AND outcome IS NOT NULL
        UNION ALL
        SELECT task_id, outcome, outcome_at FROM staging.stg_outcomes
    )
    GROUP BY task_id
)
SELECT
    c.task_id,
    c.started_at::DATE AS task_date,
    coalesce(c.first.feature, 'unallocated') AS feature,
    c.first.provider AS provider,
    c.first.model AS model,
    c.first.task_type AS task_type,
    c.first.plan AS plan,
    c.first.user_hash AS user_hash,
    c.first.release AS release,
    c.first.prompt_version AS prompt_version,
    c.first.api_key_id AS api_key_id,
    c.first.source_name AS source_name,
    c.* EXCLUDE (task_id, first),
    o.outcome,
    o.outcome_at
FROM calls AS c
LEFT JOIN outcomes AS o ON o.task_id = c.task_id
