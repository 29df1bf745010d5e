-- Dollars that bought nothing, by kind; every dollar in one kind at most.
--
-- Grain: one row per usage_date, feature and waste_kind.
-- Calendar: days with some waste of the kind only; absence means that none was found.
-- Units: US dollars, each call's part of what its row of marts.unit_economics_daily cost. Signed: caching that cost more
--   than it saved would be negative waste.
-- Why a filter: calls whose bill is not there (yet) are left out, as far as it is not.
-- Kinds, in this order; a call's dollars are taken by the first that holds:
--   loop: calls of a runaway task (more than five times the 90th percentile of its feature's calls per task, and more
--     than 10) beyond that percentile.
--   failure: calls that ended in an error, and were billed.
--   retry: calls that did not fail and were asked again, in the same task, by the next call with the next attempt; a
--     call without a number is a first one.
--   uncached_prefix: input paid in full within five minutes after an earlier call of the same day, model and prompt
--     version, up to the cached part that the others usually read (median; at least 10 such calls), less what reading it
--     would cost.
--   context: uncached input beyond twice the 90th percentile of the input of the feature's calls of the same model and
--     kind of task (of successful tasks where success is known).
--   idle_gpu: device hours that served no call (marts.gpu_economics_daily).
-- Columns:
--   usage_date: UTC day.
--   waste_usd: null where the dollars of some of the calls are not known.
--   affected_calls: calls with such dollars; null for idle_gpu.
--   feature_cost_usd: the feature's whole cost of the day.
WITH rows_of_usage AS MATERIALIZED (
    SELECT
        r.*,
        u.unpriced_calls = 0 AS is_priced,
        dense_rank() OVER (ORDER BY r.feature, r.provider, r.model, r.task_type) AS kind_of_call,
        dense_rank() OVER (ORDER BY r.usage_date, r.feature, r.provider, r.model) AS prompt_group
    FROM usage_rows AS r
    JOIN core.usage AS u
        ON u.usage_date = r.usage_date
        AND u.feature = r.feature
        AND u.provider IS NOT DISTINCT FROM r.provider
        AND u.model IS NOT DISTINCT FROM r.model
        AND u.task_type IS NOT DISTINCT FROM r.task_type
),
calls AS NOT MATERIALIZED (
    SELECT
        c.*,
        u.kind_of_call,
        u.prompt_group,
        coalesce(c.input_tokens, 0) + coalesce(c.cache_read_tokens, 0) + coalesce(c.cache_write_tokens, 0)
            AS whole_input_tokens
    FROM placed_calls AS c
    JOIN rows_of_usage AS u ON u.usage_id = c.usage_id
),
usual_tasks AS MATERIALIZED (
    SELECT
        feature,
        quantile_disc(calls, 0.9) AS usual_calls,
        greatest(10, 5 * quantile_disc(calls, 0.9)) AS loop_calls
    FROM staging.tasks
    GROUP BY feature
),
-- Tasks by every id that their calls name: their own, or that of a trace whose calls are theirs.
tasks AS (
    SELECT task_id AS named_id, * FROM staging.tasks
    UNION ALL
    SELECT r.trace_id, t.* FROM staging.traces AS r JOIN staging.tasks AS t ON t.task_id = r.task_id WHERE r.is_task
),
usual_inputs AS (
    SELECT
        c.kind_of_call,
        2 * coalesce(
            quantile_disc(c.whole_input_tokens, 0.9) FILTER (WHERE s.named_id IS NOT NULL),
            quantile_disc(c.whole_input_tokens, 0.9)
        ) AS most_input_tokens
    FROM calls AS c
    LEFT JOIN (
        SELECT t.named_id
        FROM tasks AS t
        JOIN core.feature_success AS f ON f.feature = t.feature AND f.outcome = t.outcome
    ) AS s ON s.named_id = c.task_id
    GROUP BY c.kind_of_call
),
-- Prompts of one day, whatever the kind of task.
prefixes AS MATERIALIZED (
    SELECT prompt_group, prompt_version, quantile_disc(cache_read_tokens, 0.5) AS prefix_tokens
    FROM calls
    WHERE cache_read_tokens > 0
    GROUP BY prompt_group, prompt_version
    HAVING count(*) >= 10
),
limits AS MATERIALIZED (
    SELECT u.*, i.most_input_tokens, k.usual_calls, k.loop_calls
    FROM rows_of_usage AS u
    JOIN usual_inputs AS i ON i.kind_of_call = u.kind_of_call
    LEFT JOIN usual_tasks AS k ON k.feature = u.feature
),
-- Only tasks that may have been asked again, or may be a loop, need to be looked at in order. Of calls at one moment the
-- order is by what they are, so that a rebuild finds the same dollars.
numbered AS (
    SELECT
        c.call_id,
        t.calls > l.loop_calls AND row_number() OVER calls_of_task > l.usual_calls AS is_loop,
        lead(c.attempt) OVER calls_of_task = coalesce(c.attempt, 1) + 1 AS is_asked_again
    FROM placed_calls AS c
    JOIN tasks AS t ON t.named_id = c.task_id
    JOIN limits AS l ON l.usage_id = c.usage_id
    WHERE t.calls > 1 AND (t.retries > 0 OR t.calls > 10)
    WINDOW calls_of_task AS (
        PARTITION BY t.task_id
        ORDER BY
            c.called_at, coalesce(c.attempt, 1), coalesce(c.response_id, ''), c.usage_id,
            c.input_tokens, c.cache_read_tokens, c.cache_write_tokens, c.output_tokens, c.reasoning_tokens,
            c.status, c.pricing_tier, c.api_key_id, c.prompt_version
    )
),
marked AS (
    SELECT call_id, coalesce(is_loop, FALSE) AS is_loop FROM numbered WHERE is_loop OR is_asked_again
),
repeated AS (
    SELECT
        c.call_id,
        CASE WHEN coalesce(c.cache_write_tokens, 0) = 0 THEN
            least(p.prefix_tokens - coalesce(c.cache_read_tokens, 0), coalesce(c.input_tokens, 0))
        END AS missed_tokens,
        -- Calls of one moment find nothing of each other in the cache.
        epoch_us(c.called_at) - first_value(epoch_us(c.called_at)) OVER moment_before <= 300000000 AS is_warm
    FROM calls AS c
    JOIN prefixes AS p ON p.prompt_group = c.prompt_group AND p.prompt_version IS NOT DISTINCT FROM c.prompt_version
    WINDOW moment_before AS (
        PARTITION BY c.prompt_group, c.prompt_version
        ORDER BY epoch_us(c.called_at)
        GROUPS BETWEEN 1 PRECEDING AND 1 PRECEDING
    )
),
missed AS (
    SELECT call_id, missed_tokens FROM repeated WHERE is_warm AND missed_tokens > 0
),
judged AS (
    SELECT
        l.usage_id,
        l.is_priced,
        CASE WHEN l.is_priced THEN c.estimated_cost_usd ELSE c.weighted_tokens::DECIMAL(38, 12) END AS weight,
        CASE
            WHEN n.is_loop THEN 'loop'
            WHEN c.status = 'error' THEN 'failure'
            WHEN n.call_id IS NOT NULL THEN 'retry'
        END AS whole_kind,
        coalesce(m.missed_tokens, 0) AS missed_tokens,
        least(
            greatest(0, c.whole_input_tokens - l.most_input_tokens),
            coalesce(c.input_tokens, 0) - coalesce(m.missed_tokens, 0)
        ) AS excess_tokens,
        c.input_usd_per_million,
        c.cache_read_usd_per_million,
        c.input_units,
        c.cache_read_units,
        l.is_priced AND c.input_units IS NOT NULL AND c.cache_read_units IS NOT NULL AS is_whole
    FROM priced_calls AS c
    JOIN limits AS l
        ON l.usage_date = c.usage_date
        AND l.feature = c.feature
        AND l.provider IS NOT DISTINCT FROM c.provider
        AND l.model IS NOT DISTINCT FROM c.model
        AND l.task_type IS NOT DISTINCT FROM c.task_type
    LEFT JOIN marked AS n ON n.call_id = c.call_id
    LEFT JOIN missed AS m ON m.call_id = c.call_id
),
weighed AS (
    SELECT
        usage_id,
        weight,
        whole_kind,
        CASE
            WHEN whole_kind IS NOT NULL OR missed_tokens = 0 THEN 0
            WHEN is_whole THEN (missed_tokens * (input_units - cache_read_units))::DECIMAL(38, 0) * 0.000000000001
            WHEN is_priced THEN missed_tokens::DECIMAL(18, 0) * (input_usd_per_million - cache_read_usd_per_million) * 0.000001
            ELSE missed_tokens * 0.9
        END::DECIMAL(38, 12) AS prefix_weight,
        CASE
            WHEN whole_kind IS NOT NULL OR excess_tokens = 0 THEN 0
            WHEN is_whole THEN (excess_tokens * input_units)::DECIMAL(38, 0) * 0.000000000001
            WHEN is_priced THEN excess_tokens::DECIMAL(18, 0) * input_usd_per_million * 0.000001
            ELSE excess_tokens
        END::DECIMAL(38, 12) AS context_weight
    FROM judged
),
weights AS MATERIALIZED (
    SELECT
        usage_id,
        sum(weight) AS weight,
        sum(weight) FILTER (WHERE whole_kind = 'loop') AS loop_weight,
        count(*) FILTER (WHERE whole_kind = 'loop') AS loop_calls,
        sum(weight) FILTER (WHERE whole_kind = 'failure') AS failure_weight,
        count(*) FILTER (WHERE whole_kind = 'failure') AS failure_calls,
        sum(weight) FILTER (WHERE whole_kind = 'retry') AS retry_weight,
        count(*) FILTER (WHERE whole_kind = 'retry') AS retry_calls,
        sum(prefix_weight) AS prefix_weight,
        count(*) FILTER (WHERE prefix_weight <> 0) AS prefix_calls,
        sum(context_weight) AS context_weight,
        count(*) FILTER (WHERE context_weight <> 0) AS context_calls
    FROM weighed
    GROUP BY usage_id
),
wasted_rows AS (
    SELECT usage_id, weight, 'loop' AS waste_kind, loop_weight AS wasted, loop_calls AS affected_calls FROM weights
    UNION ALL
    SELECT usage_id, weight, 'failure', failure_weight, failure_calls FROM weights
    UNION ALL
    SELECT usage_id, weight, 'retry', retry_weight, retry_calls FROM weights
    UNION ALL
    SELECT usage_id, weight, 'uncached_prefix', prefix_weight, prefix_calls FROM weights
    UNION ALL
    SELECT usage_id, weight, 'context', context_weight, context_calls FROM weights
),
dollars AS (
    SELECT
        e.usage_date,
        e.feature,
        w.waste_kind,
        w.affected_calls,
        (
            -- Calls that failed before a token was read weigh nothing.
            e.effective_cost_before_credits_usd * coalesce(w.wasted::DOUBLE / nullif(w.weight, 0)::DOUBLE, 0)::DECIMAL(13, 12)
        )::DECIMAL(38, 12) AS waste_usd
    FROM wasted_rows AS w
    JOIN rows_of_usage AS u USING (usage_id)
    JOIN marts.unit_economics_daily AS e
        ON e.usage_date = u.usage_date
        AND e.feature = u.feature
        AND e.provider IS NOT DISTINCT FROM u.provider
        AND e.model IS NOT DISTINCT FROM u.model
        AND e.task_type IS NOT DISTINCT FROM u.task_type
        AND e.calls IS NOT NULL
        AND e.is_billed
    WHERE w.affected_calls > 0
    UNION ALL
    SELECT usage_date, feature, 'idle_gpu', NULL, idle_cost_usd
    FROM marts.gpu_economics_daily
    WHERE idle_cost_usd <> 0
),
totals AS (
    SELECT
        usage_date,
        feature,
        waste_kind,
        sum(affected_calls)::BIGINT AS affected_calls,
        CASE WHEN count(*) = count(waste_usd) THEN sum(waste_usd) END AS waste_usd
    FROM dollars
    GROUP BY usage_date, feature, waste_kind
)
SELECT
    t.usage_date,
    t.feature,
    t.waste_kind,
    t.waste_usd::DECIMAL(38, 12) AS waste_usd,
    t.affected_calls,
    f.effective_cost_before_credits_usd AS feature_cost_usd,
    coalesce(f.is_settled, FALSE) AS is_settled
FROM totals AS t
LEFT JOIN marts.feature_cost_daily AS f ON f.feature = t.feature AND f.charge_date = t.usage_date
WHERE t.waste_usd IS DISTINCT FROM 0
ORDER BY t.usage_date, t.feature, t.waste_kind
