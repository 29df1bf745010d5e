-- Of the reports of one call all but one. The one that names a feature and a task counts before others, then the
-- earliest; which one it is does not depend on the order of loading.
CREATE OR REPLACE TEMP TABLE duplicate_calls AS
-- Nothing names these: only what is alike in all that was measured is the same call, and never in one delivery, which tells
-- each call of its own: the second of these is another delivery's second.
WITH nameless AS (
    SELECT
        s.row_id,
        row(
            called_at, provider, model, feature, attempt, status, user_hash, api_key_id, pricing_tier, latency_ms,
            input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, tool_calls, gpu_seconds,
            task_type, trace_id, release, prompt_version
        )::VARCHAR AS measured,
        row_number() OVER (
            PARTITION BY measured, delivery_id ORDER BY outcome, plan, logged_cost_usd, s.row_id
        ) AS place
    FROM suspect_calls AS s
    INNER JOIN staging.stg_calls AS c ON c.rowid = s.row_id
    WHERE c.response_id IS NULL AND c.task_id IS NULL
)
SELECT row_id
FROM (
    SELECT
        s.row_id,
        row_number() OVER (
            PARTITION BY
                CASE
                    WHEN response_id IS NOT NULL THEN concat_ws('|', 'r', provider, response_id)
                    WHEN task_id IS NOT NULL
                        THEN concat_ws('|', 't', feature, task_id, attempt, called_at, provider, model)
                    ELSE concat_ws('|', 'm', n.place, n.measured)
                END
            ORDER BY
                feature IS NULL, task_id IS NULL, called_at, source_name, input_tokens DESC NULLS LAST, delivery_id,
                -- Of reports that are alike in all of that, by what else they say.
                output_tokens DESC NULLS LAST, status, cache_read_tokens, cache_write_tokens, reasoning_tokens, attempt,
                outcome, model, task_type, pricing_tier, logged_cost_usd, gpu_seconds, tool_calls, feature, task_id,
                user_hash, plan, api_key_id, prompt_version, release, trace_id, latency_ms
        ) AS report
    FROM suspect_calls AS s
    INNER JOIN staging.stg_calls AS c ON c.rowid = s.row_id
    LEFT JOIN nameless AS n ON n.row_id = s.row_id
)
WHERE report > 1
