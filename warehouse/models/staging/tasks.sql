-- Tasks: the calls that share a task id, whatever their source, provider and model, with the task's outcome. Calls that
-- only name a trace are those of the task that its other calls name, if that is one (staging.traces).
--
-- Grain: one row per task_id. Private: it names tasks and stays out of the published file.
-- Calendar: only tasks that telemetry saw. A call without a task id is no task.
-- Why a filter: a call that is reported twice counts once (stg_calls.is_duplicate).
-- Columns:
--   task_date: UTC day of the task's first call; the whole task belongs to it.
--   feature: the feature that the first call names; 'unallocated' where it names none. So are provider, model, task_type, api_key_id and source_name the first call's.
--   calls: requests to a model, failed ones and retries included.
--   retries: calls whose attempt is above 1.
--   names_several_features: whether its calls do: perhaps two features give the same ids to their tasks.
--   outcome: the last known outcome, from a call or from an outcomes source; null is unknown, never failure.
--   outcome_at: when that outcome was reported.
-- One pass over the calls, and what a group carries has a fixed size: a moment and a number in one integer, whose least
-- is the first call and whose greatest the last word. The numbers are places in order, so that of two calls or two
-- outcomes of one moment the order of loading does not decide. Shifts, because division of such integers is slow.
WITH kinds AS MATERIALIZED (
    SELECT DISTINCT feature, provider, model, task_type, api_key_id, source_name, outcome
    FROM staging.stg_calls
    WHERE task_id IS NOT NULL
),
words AS MATERIALIZED (
    SELECT outcome, row_number() OVER (ORDER BY outcome) AS word
    FROM (
        SELECT outcome FROM kinds WHERE outcome IS NOT NULL
        UNION
        SELECT outcome FROM staging.stg_outcomes
    )
),
origins AS MATERIALIZED (
    SELECT
        k.*,
        w.word,
        dense_rank() OVER (ORDER BY k.feature) AS feature_number,
        row_number() OVER (
            ORDER BY k.feature, k.provider, k.model, k.task_type, k.api_key_id, k.source_name, k.outcome
        ) AS origin
    FROM kinds AS k
    LEFT JOIN words AS w ON w.outcome = k.outcome
),
-- An outcome may come late, in another report of the call or from another source: all reports count.
numbered AS (
    SELECT
        c.task_id,
        c.status,
        c.attempt,
        c.is_duplicate IS NOT TRUE AS is_counted,
        CASE WHEN c.feature IS NOT NULL THEN o.feature_number END AS feature_number,
        (epoch_us(c.called_at) * 1024 + least(coalesce(c.attempt, 1), 1023))::HUGEINT * 4294967296 + o.origin AS started,
        epoch_us(c.called_at)::HUGEINT * 4294967296 + o.word AS said
    FROM staging.stg_calls AS c
    INNER JOIN origins AS o
        ON o.feature IS NOT DISTINCT FROM c.feature
        AND o.provider IS NOT DISTINCT FROM c.provider
        AND o.model IS NOT DISTINCT FROM c.model
        AND o.task_type IS NOT DISTINCT FROM c.task_type
        AND o.api_key_id IS NOT DISTINCT FROM c.api_key_id
        AND o.source_name = c.source_name
        AND o.outcome IS NOT DISTINCT FROM c.outcome
    WHERE c.task_id IS NOT NULL
),
named AS (
    SELECT
        task_id,
        min(started) FILTER (WHERE is_counted) AS first_call,
        max(said) AS last_said,
        count(*) FILTER (WHERE is_counted) AS calls,
        count(*) FILTER (WHERE is_counted AND status = 'error') AS failed_calls,
        count(*) FILTER (WHERE is_counted AND attempt > 1) AS retries,
        min(feature_number) AS least_feature,
        max(feature_number) AS greatest_feature
    FROM numbered
    GROUP BY task_id
),
-- Joined to traces by task: by call it would take half as long again.
calls AS (
    SELECT
        coalesce(r.task_id, n.task_id) AS task_id,
        min(n.first_call) AS first_call,
        max(n.last_said) AS last_said,
        sum(n.calls)::BIGINT AS calls,
        sum(n.failed_calls)::BIGINT AS failed_calls,
        sum(n.retries)::BIGINT AS retries,
        max(n.greatest_feature) <> min(n.least_feature) AS names_several_features
    FROM named AS n
    LEFT JOIN staging.traces AS r ON r.trace_id = n.task_id AND r.is_task
    GROUP BY coalesce(r.task_id, n.task_id)
),
told AS (
    SELECT o.task_id, max(epoch_us(o.outcome_at)::HUGEINT * 4294967296 + w.word) AS last_said
    FROM (
        SELECT task_id, outcome, outcome_at FROM staging.stg_outcomes
        UNION ALL
        SELECT t.task_id, o.outcome, o.outcome_at
        FROM staging.stg_outcomes AS o
        INNER JOIN staging.traces AS t ON t.trace_id = o.task_id
        WHERE t.task_id IS NOT NULL
    ) AS o
    INNER JOIN words AS w ON w.outcome = o.outcome
    GROUP BY o.task_id
),
joined AS (
    SELECT
        c.task_id,
        make_timestamptz((c.first_call >> 42)::BIGINT) AS started_at,
        (c.first_call & 4294967295)::BIGINT AS origin,
        c.calls,
        c.failed_calls,
        c.retries,
        c.names_several_features,
        greatest(c.last_said, t.last_said) AS last_said
    FROM calls AS c
    LEFT JOIN told AS t ON t.task_id = c.task_id
    WHERE c.calls > 0
)
SELECT
    j.task_id,
    make_timestamp(epoch_us(j.started_at))::DATE AS task_date,
    coalesce(o.feature, 'unallocated') AS feature,
    o.provider,
    o.model,
    o.task_type,
    o.api_key_id,
    o.source_name,
    j.started_at,
    j.calls,
    j.failed_calls,
    j.retries,
    coalesce(j.names_several_features, FALSE) AS names_several_features,
    (SELECT list(outcome ORDER BY word) FROM words)[(j.last_said & 4294967295)::BIGINT] AS outcome,
    make_timestamptz((j.last_said >> 32)::BIGINT) AS outcome_at
FROM joined AS j
INNER JOIN origins AS o ON o.origin = j.origin
