-- Dollars that bought nothing, by kind; every dollar in one kind at most.
--
-- Grain: one row per usage_date, feature and waste_kind.
-- Calendar: days with some waste of the kind only; absence means that none was found.
-- Units: US dollars, each call's part of what its row of marts.unit_economics_daily cost. Signed: caching that cost more
--   than it saved would be negative waste.
-- Kinds, in this order; a call's dollars are taken by the first that holds:
--   loop: calls of a runaway task (more than five times the 90th percentile of its feature's calls per task, and more
--     than 10) beyond that percentile.
--   failure: calls that ended in an error, and were billed.
--   retry: calls that did not fail and were asked again, in the same task, by the next call with the next attempt.
--   uncached_prefix: input paid in full within five minutes of a call of the same day, model and prompt version, up to
--     the cached part that the others usually read (median; at least 10 such calls), less what reading it would cost.
--   context: uncached input beyond twice the 90th percentile of the input of the feature's calls of the same model and
--     kind of task (of successful tasks where success is known).
--   idle_gpu: device hours that served no call (marts.gpu_economics_daily).
-- Columns:
--   usage_date: UTC day.
--   affected_calls: calls with such dollars; null for idle_gpu.
--   feature_cost_usd: the feature's whole cost of the day.
WITH success AS (
    SELECT t.task_id, s.outcome IS NOT NULL AS is_success
    FROM staging.tasks AS t
    JOIN (SELECT DISTINCT feature FROM core.feature_success) AS l ON l.feature = t.feature
    LEFT JOIN core.feature_success AS s ON s.feature = t.feature AND s.outcome = t.outcome
),
usual_tasks AS (
    SELECT
        feature,
        quantile_disc(calls, 0.9) AS usual_calls,
        greatest(10, 5 * quantile_disc(calls, 0.9)) AS loop_calls
    FROM staging.tasks
    GROUP BY feature
),
rows_of_usage AS MATERIALIZED (
    SELECT
        row_number() OVER (ORDER BY usage_date, feature, provider, model, task_type) AS usage_id,
        usage_date,
        feature,
        provider,
        model,
        task_type,
        unpriced_calls
    FROM core.usage
),
calls AS MATERIALIZED (
    SELECT
        u.usage_id,
        u.unpriced_calls = 0 AS is_priced,
        c.task_id,
        t.calls AS task_calls,
        s.is_success,
        c.called_at,
        c.attempt,
        c.response_id,
        c.status,
        c.prompt_version,
        coalesce(c.input_tokens, 0) AS input_tokens,
        coalesce(c.cache_read_tokens, 0) AS cache_read_tokens,
        coalesce(c.cache_write_tokens, 0) AS cache_write_tokens,
        c.whole_input_tokens,
        CASE WHEN u.unpriced_calls = 0 THEN c.estimated_cost_usd ELSE c.weighted_tokens::DECIMAL(38, 12) END AS weight,
        c.input_usd_per_million,
        c.cache_read_usd_per_million
    FROM priced_calls AS c
    JOIN rows_of_usage AS u
        ON u.usage_date = c.usage_date
        AND u.feature = c.feature
        AND u.provider IS NOT DISTINCT FROM c.provider
        AND u.model IS NOT DISTINCT FROM c.model
        AND u.task_type IS NOT DISTINCT FROM c.task_type
    LEFT JOIN staging.tasks AS t ON t.task_id = c.task_id
    LEFT JOIN success AS s ON s.task_id = c.task_id
),
usual_inputs AS (
    SELECT
        u.feature,
        u.provider,
        u.model,
        u.task_type,
        2 * coalesce(
            quantile_disc(c.whole_input_tokens, 0.9) FILTER (WHERE c.is_success),
            quantile_disc(c.whole_input_tokens, 0.9)
        ) AS most_input_tokens
    FROM calls AS c
    JOIN rows_of_usage AS u USING (usage_id)
    GROUP BY u.feature, u.provider, u.model, u.task_type
),
-- Prompts of one day, whatever the kind of task.
prompts AS (
    SELECT
        usage_id,
        dense_rank() OVER (ORDER BY usage_date, feature, provider, model) AS prompt_group,
        feature,
        provider,
        model,
        task_type
    FROM rows_of_usage
),
prefixes AS (
    SELECT p.prompt_group, c.prompt_version, quantile_disc(c.cache_read_tokens, 0.5) AS prefix_tokens
    FROM calls AS c
    JOIN prompts AS p USING (usage_id)
    WHERE c.cache_read_tokens > 0
    GROUP BY p.prompt_group, c.prompt_version
    HAVING count(*) >= 10
),
limits AS (
    SELECT p.usage_id, p.prompt_group, i.most_input_tokens, k.usual_calls, k.loop_calls
    FROM prompts AS p
    JOIN usual_inputs AS i
        ON i.feature = p.feature
        AND i.provider IS NOT DISTINCT FROM p.provider
        AND i.model IS NOT DISTINCT FROM p.model
        AND i.task_type IS NOT DISTINCT FROM p.task_type
    LEFT JOIN usual_tasks AS k ON k.feature = p.feature
),
looked_at AS (
    SELECT c.*, l.* EXCLUDE (usage_id), x.prefix_tokens
    FROM calls AS c
    JOIN limits AS l USING (usage_id)
    LEFT JOIN prefixes AS x
        ON x.prompt_group = l.prompt_group AND x.prompt_version IS NOT DISTINCT FROM c.prompt_version
),
-- Only tasks of several calls need to be looked at in order, and only prompts whose prefix is known.
numbered AS (
    SELECT
        *,
        row_number() OVER calls_of_task AS call_number,
        lead(attempt) OVER calls_of_task = attempt + 1 AS is_asked_again
    FROM looked_at
    WHERE task_calls > 1
    WINDOW calls_of_task AS (
        PARTITION BY task_id
        ORDER BY
            called_at, coalesce(attempt, 1), coalesce(response_id, ''), usage_id, weight, input_tokens, status,
            cache_read_tokens, cache_write_tokens, prompt_version
    )
    UNION ALL BY NAME
    SELECT *, 1 AS call_number, FALSE AS is_asked_again FROM looked_at WHERE coalesce(task_calls, 1) <= 1
),
repeated AS (
    SELECT *, called_at - lag(called_at) OVER same_prompt <= INTERVAL 5 MINUTE AS is_warm
    FROM numbered
    WHERE prefix_tokens IS NOT NULL
    -- Of calls at one moment the order is by what they are, so that a rebuild finds the same dollars.
    WINDOW same_prompt AS (
        PARTITION BY prompt_group, prompt_version
        ORDER BY
            called_at, coalesce(response_id, ''), usage_id, weight, input_tokens, cache_read_tokens, status,
            cache_write_tokens, task_id
    )
    UNION ALL BY NAME
    SELECT *, FALSE AS is_warm FROM numbered WHERE prefix_tokens IS NULL
),
sized AS (
    SELECT
        usage_id,
        is_priced,
        status,
        weight,
        is_asked_again,
        input_tokens,
        input_usd_per_million,
        cache_read_usd_per_million,
        task_calls > loop_calls AND call_number > usual_calls AS is_loop,
        CASE WHEN is_warm AND cache_write_tokens = 0
            THEN greatest(0, least(prefix_tokens - cache_read_tokens, input_tokens))
            ELSE 0
        END AS missed_tokens,
        greatest(0, whole_input_tokens - most_input_tokens) AS excess_tokens
    FROM repeated
),
judged AS (
    SELECT
        *,
        CASE
            WHEN coalesce(is_loop, FALSE) THEN 'loop'
            WHEN status = 'error' THEN 'failure'
            WHEN coalesce(is_asked_again, FALSE) THEN 'retry'
        END AS whole_kind,
        CASE
            WHEN is_priced THEN missed_tokens::DECIMAL(18, 0) * (input_usd_per_million - cache_read_usd_per_million) * 0.000001
            ELSE missed_tokens * 0.9
        END::DECIMAL(38, 12) AS prefix_weight,
        CASE
            WHEN is_priced
                THEN least(excess_tokens, input_tokens - missed_tokens)::DECIMAL(18, 0)
                    * input_usd_per_million * 0.000001
            ELSE least(excess_tokens, input_tokens - missed_tokens)
        END::DECIMAL(38, 12) AS context_weight
    FROM sized
),
kinds AS (
    SELECT usage_id, whole_kind AS waste_kind, weight AS wasted FROM judged WHERE whole_kind IS NOT NULL
    UNION ALL
    SELECT usage_id, 'uncached_prefix', prefix_weight FROM judged WHERE whole_kind IS NULL AND prefix_weight <> 0
    UNION ALL
    SELECT usage_id, 'context', context_weight FROM judged WHERE whole_kind IS NULL AND context_weight <> 0
),
weights AS (
    SELECT usage_id, sum(weight) AS weight FROM judged GROUP BY usage_id
),
wasted_rows AS (
    SELECT usage_id, waste_kind, sum(wasted) AS wasted, count(*) AS affected_calls FROM kinds GROUP BY usage_id, waste_kind
),
dollars AS (
    SELECT
        e.usage_date,
        e.feature,
        w.waste_kind,
        w.affected_calls,
        (
            e.effective_cost_before_credits_usd * (w.wasted::DOUBLE / nullif(r.weight, 0)::DOUBLE)::DECIMAL(13, 12)
        )::DECIMAL(38, 12) AS waste_usd
    FROM wasted_rows AS w
    JOIN weights AS r USING (usage_id)
    JOIN rows_of_usage AS u USING (usage_id)
    JOIN marts.unit_economics_daily AS e
        ON e.usage_date = u.usage_date
        AND e.feature = u.feature
        AND e.provider IS NOT DISTINCT FROM u.provider
        AND e.model IS NOT DISTINCT FROM u.model
        AND e.task_type IS NOT DISTINCT FROM u.task_type
        AND e.calls IS NOT NULL
    UNION ALL
    SELECT usage_date, feature, 'idle_gpu', NULL, idle_cost_usd
    FROM marts.gpu_economics_daily
    WHERE idle_cost_usd <> 0
),
totals AS (
    SELECT usage_date, feature, waste_kind, sum(affected_calls)::BIGINT AS affected_calls, sum(waste_usd) AS waste_usd
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
WHERE t.waste_usd <> 0
ORDER BY t.usage_date, t.feature, t.waste_kind
