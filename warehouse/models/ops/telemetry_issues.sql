-- What is wrong or missing in telemetry, counted, with what was done about it. Never content.
--
-- Grain: one row per source_name, issue and detail, over the deliveries that still speak.
-- Units: occurrences, in calls, lines, outcomes, fields or days as the issue says.
-- Columns:
--   issue: a code; docs/events.md describes each.
--   detail: the field, feature, model or pair of sources concerned; null where the issue has none.
--   treatment: 'rejected', 'left out', 'counted once', 'kept' or 'dropped': what became of what is counted.
WITH told AS (
    SELECT t.source_name, t.issue, t.detail, sum(t.occurrences)::BIGINT AS occurrences
    FROM ops.telemetry_deliveries AS t
    INNER JOIN ops.deliveries AS d ON d.delivery_id = t.delivery_id AND d.is_current
    GROUP BY ALL
),
duplicates AS (
    SELECT source_name, 'duplicate' AS issue, NULL AS detail, count(*) AS occurrences
    FROM staging.stg_calls
    WHERE is_duplicate
    GROUP BY source_name
),
unknown_features AS (
    SELECT source_name, 'unknown_feature' AS issue, feature AS detail, count(*) AS occurrences
    FROM staging.stg_calls
    WHERE feature IS NOT NULL AND is_duplicate IS NOT TRUE AND feature NOT IN (SELECT feature FROM core.features)
    GROUP BY source_name, feature
),
unknown_tasks AS (
    SELECT
        o.source_name,
        CASE WHEN r.trace_id IS NULL THEN 'outcome_for_unknown_task' ELSE 'outcome_for_several_tasks' END AS issue,
        NULL AS detail,
        count(*) AS occurrences
    FROM staging.stg_outcomes AS o
    LEFT JOIN staging.tasks AS t ON t.task_id = o.task_id
    LEFT JOIN staging.traces AS r ON r.trace_id = o.task_id
    WHERE t.task_id IS NULL AND r.task_id IS NULL
    GROUP BY ALL
),
shared_tasks AS (
    SELECT source_name, 'task_of_several_features' AS issue, feature AS detail, count(*) AS occurrences
    FROM staging.tasks
    WHERE names_several_features
    GROUP BY source_name, feature
),
-- Two sources that both report a feature's calls to a provider on a day, where neither's calls have a response id
-- by which to tell that they are the same.
untold AS (
    SELECT source_name, make_timestamp(epoch_us(called_at))::DATE AS call_date, feature, provider, count(*) AS calls
    FROM staging.stg_calls
    WHERE is_duplicate IS NOT TRUE AND response_id IS NULL
    GROUP BY ALL
),
two_sources AS (
    SELECT
        u.source_name,
        'two_sources' AS issue,
        concat_ws(', ', u.feature, u.provider, 'also from ' || o.source_name) AS detail,
        sum(u.calls)::BIGINT AS occurrences
    FROM untold AS u
    INNER JOIN (
        SELECT DISTINCT source_name, make_timestamp(epoch_us(called_at))::DATE AS call_date, feature, provider
        FROM staging.stg_calls
        WHERE is_duplicate IS NOT TRUE
    ) AS o
        ON o.call_date = u.call_date
        AND o.source_name <> u.source_name
        AND o.feature IS NOT DISTINCT FROM u.feature
        AND o.provider IS NOT DISTINCT FROM u.provider
    GROUP BY ALL
),
-- What two sources measured on a day: GPUs by their counters, and the tokens of a model of our own servers.
measured_twice AS (
    SELECT other AS source_name, 'gpu_of_two_sources' AS issue, 'measured by ' || source_name AS detail, count(*) AS occurrences
    FROM (SELECT source_name, unnest(string_split(also_from, ', ')) AS other FROM core.gpu_devices) AS d
    GROUP BY other, source_name
),
metered_twice AS (
    SELECT
        m.source_name,
        'tokens_of_two_sources' AS issue,
        concat_ws(', ', m.model, 'also from ' || o.source_name) AS detail,
        count(DISTINCT m.usage_date) AS occurrences
    FROM core.metered_usage AS m
    INNER JOIN core.metered_usage AS o
        ON o.provider = m.provider
        AND o.usage_date = m.usage_date
        AND o.model IS NOT DISTINCT FROM m.model
        AND o.source_name < m.source_name
    WHERE m.provider = 'self_hosted'
    GROUP BY ALL
),
-- Calls for which neither a bill nor a price is, of features with others that are billed: their days have no unit cost.
without_cost AS (
    SELECT usage_date, feature, provider, model, task_type
    FROM marts.unit_economics_daily
    WHERE calls > 0 AND NOT is_billed AND NOT is_billed_by_other AND billed_or_estimated_cost_usd IS NULL
      AND feature IN (SELECT feature FROM marts.unit_economics_daily WHERE calls > 0 AND is_billed)
),
no_known_cost AS (
    SELECT
        h.source_name,
        'no_known_cost' AS issue,
        concat_ws(', ', h.feature, nullif(concat_ws('/', h.provider, h.model), '')) AS detail,
        sum(h.calls - h.priced_calls)::BIGINT AS occurrences
    FROM without_cost AS u
    INNER JOIN priced_hours AS h
        ON h.usage_hour::DATE = u.usage_date
        AND h.feature = u.feature
        AND h.provider IS NOT DISTINCT FROM u.provider
        AND h.model IS NOT DISTINCT FROM u.model
        AND h.task_type IS NOT DISTINCT FROM u.task_type
    WHERE h.calls > h.priced_calls
    GROUP BY ALL
),
found AS (
    SELECT * FROM told
    UNION ALL BY NAME
    SELECT * FROM duplicates
    UNION ALL BY NAME
    SELECT * FROM unknown_features
    UNION ALL BY NAME
    SELECT * FROM unknown_tasks
    UNION ALL BY NAME
    SELECT * FROM shared_tasks
    UNION ALL BY NAME
    SELECT * FROM two_sources
    UNION ALL BY NAME
    SELECT * FROM measured_twice
    UNION ALL BY NAME
    SELECT * FROM metered_twice
    UNION ALL BY NAME
    SELECT * FROM no_known_cost
)
SELECT
    source_name,
    issue,
    detail,
    occurrences,
    CASE
        WHEN issue = 'rejected' THEN 'rejected'
        WHEN issue IN ('in_the_future', 'parent_span', 'other_source_of_record', 'not_a_call', 'unfinished_line')
            THEN 'left out'
        WHEN issue = 'outcome_for_several_tasks' THEN 'left out'
        WHEN issue IN ('duplicate', 'gpu_of_two_sources') THEN 'counted once'
        WHEN issue IN ('dropped_field', 'dropped_user_id') THEN 'dropped'
        WHEN issue = 'outcome_for_unknown_task' THEN 'waits for its task'
        ELSE 'kept'
    END AS treatment
FROM found
ORDER BY source_name, issue, detail
