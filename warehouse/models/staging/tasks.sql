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
--   most_input_tokens: the largest whole input (cached and written parts included) of one of its calls.
--   input_tokens: uncached input only; the five kinds of tokens are disjoint.
--   logged_cost_usd: what the logs' own tools priced the calls at; null where any call has none.
--   outcome: the last known outcome, from a call or from an outcomes source; null is unknown, never failure.
--   outcome_at: when that outcome was reported.
-- The first call is found by its row's number: what a group carries has a fixed size, so that millions of tasks spill to
-- disk where memory ends. Of two calls of one moment and attempt a hash decides, not the order of loading.
WITH calls AS (
    SELECT
        task_id,
        min_by(
            rowid,
            (epoch_us(called_at)::HUGEINT * 16384 + coalesce(attempt, 1)) * 1152921504606846976
            + (hash(response_id, model, feature, source_name) // 16)::HUGEINT
        ) AS first_row,
        min(called_at) AS started_at,
        max(called_at) AS ended_at,
        count(*) AS calls,
        count(*) FILTER (WHERE status = 'error') AS failed_calls,
        count(*) FILTER (WHERE attempt > 1) AS retries,
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
reported AS (
    SELECT task_id, outcome, called_at AS outcome_at
    FROM staging.stg_calls
    WHERE task_id IS NOT NULL AND outcome IS NOT NULL
    UNION ALL
    SELECT task_id, outcome, outcome_at FROM staging.stg_outcomes
    UNION ALL
    SELECT t.task_id, o.outcome, o.outcome_at
    FROM staging.stg_outcomes AS o
    INNER JOIN staging.traces AS t ON t.trace_id = o.task_id
    WHERE t.task_id IS NOT NULL
),
latest AS (
    SELECT task_id, max(outcome_at) AS outcome_at FROM reported GROUP BY task_id
),
outcomes AS (
    SELECT r.task_id, r.outcome_at, max(r.outcome) AS outcome
    FROM reported AS r
    INNER JOIN latest AS l ON l.task_id = r.task_id AND l.outcome_at = r.outcome_at
    GROUP BY ALL
)
SELECT
    c.task_id,
    c.started_at::DATE AS task_date,
    coalesce(f.feature, 'unallocated') AS feature,
    f.provider,
    f.model,
    f.task_type,
    f.plan,
    f.user_hash,
    f.release,
    f.prompt_version,
    f.api_key_id,
    f.source_name,
    c.* EXCLUDE (task_id, first_row),
    o.outcome,
    o.outcome_at
FROM calls AS c
INNER JOIN staging.stg_calls AS f ON f.rowid = c.first_row
LEFT JOIN outcomes AS o ON o.task_id = c.task_id
