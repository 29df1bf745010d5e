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
usual_inputs AS (
    SELECT
        c.feature,
        c.provider,
        c.model,
        c.task_type,
        2 * coalesce(
            quantile_disc(c.whole_input_tokens, 0.9) FILTER (WHERE s.is_success),
            quantile_disc(c.whole_input_tokens, 0.9)
        ) AS most_input_tokens
    FROM priced_calls AS c
    LEFT JOIN success AS s ON s.task_id = c.task_id
    GROUP BY ALL
),
prefixes AS (
    SELECT
        usage_date,
        feature,
        provider,
        model,
        prompt_version,
        quantile_disc(cache_read_tokens, 0.5) AS prefix_tokens
    FROM priced_calls
    WHERE cache_read_tokens > 0
    GROUP BY ALL
    HAVING count(*) >= 10
),
-- Only tasks of several calls need to be looked at in order.
numbered AS (
    SELECT
        c.*,
        row_number() OVER calls_of_task AS call_number,
        lead(c.attempt) OVER calls_of_task = c.attempt + 1 AS is_asked_again,
        t.calls AS task_calls
    FROM priced_calls AS c
    JOIN staging.tasks AS t ON t.task_id = c.task_id AND t.calls > 1
    WINDOW calls_of_task AS (
        PARTITION BY c.task_id ORDER BY c.called_at, coalesce(c.attempt, 1), coalesce(c.response_id, ''), c.model
    )
    UNION ALL BY NAME
    SELECT c.*, 1 AS call_number, FALSE AS is_asked_again, 1 AS task_calls
    FROM priced_calls AS c
    LEFT JOIN staging.tasks AS t ON t.task_id = c.task_id
    WHERE t.task_id IS NULL OR t.calls = 1
),
repeated AS (
    SELECT
        n.*,
        p.prefix_tokens,
        n.called_at - lag(n.called_at) OVER same_prompt <= INTERVAL 5 MINUTE AS is_warm
    FROM numbered AS n
    JOIN prefixes AS p
        ON p.usage_date = n.usage_date
        AND p.feature = n.feature
        AND p.provider IS NOT DISTINCT FROM n.provider
        AND p.model IS NOT DISTINCT FROM n.model
        AND p.prompt_version IS NOT DISTINCT FROM n.prompt_version
    WINDOW same_prompt AS (
        PARTITION BY n.usage_date, n.feature, n.provider, n.model, n.prompt_version ORDER BY n.called_at
    )
    UNION ALL BY NAME
    SELECT n.*, 0 AS prefix_tokens, FALSE AS is_warm
    FROM numbered AS n
    WHERE NOT EXISTS (
        SELECT 1
        FROM prefixes AS p
        WHERE p.usage_date = n.usage_date
          AND p.feature = n.feature
          AND p.provider IS NOT DISTINCT FROM n.provider
          AND p.model IS NOT DISTINCT FROM n.model
          AND p.prompt_version IS NOT DISTINCT FROM n.prompt_version
    )
),
sized AS (
    SELECT
        r.*,
        u.unpriced_calls = 0 AS is_priced,
        CASE WHEN u.unpriced_calls = 0 THEN r.estimated_cost_usd ELSE r.weighted_tokens::DECIMAL(38, 12) END AS weight,
        r.task_calls > k.loop_calls AND r.call_number > k.usual_calls AS is_loop,
        CASE WHEN r.is_warm AND coalesce(r.cache_write_tokens, 0) = 0
            THEN greatest(0, least(r.prefix_tokens - coalesce(r.cache_read_tokens, 0), coalesce(r.input_tokens, 0)))
            ELSE 0
        END AS missed_tokens,
        greatest(0, r.whole_input_tokens - i.most_input_tokens) AS excess_tokens
    FROM repeated AS r
    JOIN core.usage AS u
        ON u.usage_date = r.usage_date
        AND u.feature = r.feature
        AND u.provider IS NOT DISTINCT FROM r.provider
        AND u.model IS NOT DISTINCT FROM r.model
        AND u.task_type IS NOT DISTINCT FROM r.task_type
    JOIN usual_inputs AS i
        ON i.feature = r.feature
        AND i.provider IS NOT DISTINCT FROM r.provider
        AND i.model IS NOT DISTINCT FROM r.model
        AND i.task_type IS NOT DISTINCT FROM r.task_type
    LEFT JOIN usual_tasks AS k ON k.feature = r.feature
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
                THEN least(excess_tokens, coalesce(input_tokens, 0) - missed_tokens)::DECIMAL(18, 0)
                    * input_usd_per_million * 0.000001
            ELSE least(excess_tokens, coalesce(input_tokens, 0) - missed_tokens)
        END::DECIMAL(38, 12) AS context_weight
    FROM sized
),
kinds AS (
    SELECT usage_date, feature, provider, model, task_type, whole_kind AS waste_kind, weight AS wasted
    FROM judged
    WHERE whole_kind IS NOT NULL
    UNION ALL
    SELECT usage_date, feature, provider, model, task_type, 'uncached_prefix', prefix_weight
    FROM judged
    WHERE whole_kind IS NULL AND prefix_weight <> 0
    UNION ALL
    SELECT usage_date, feature, provider, model, task_type, 'context', context_weight
    FROM judged
    WHERE whole_kind IS NULL AND context_weight <> 0
),
rows_of_calls AS (
    SELECT usage_date, feature, provider, model, task_type, sum(weight) AS weight
    FROM judged
    GROUP BY ALL
),
wasted_rows AS (
    SELECT usage_date, feature, provider, model, task_type, waste_kind, sum(wasted) AS wasted, count(*) AS affected_calls
    FROM kinds
    GROUP BY ALL
),
dollars AS (
    SELECT
        w.usage_date,
        w.feature,
        w.waste_kind,
        w.affected_calls,
        (
            e.effective_cost_before_credits_usd * (w.wasted::DOUBLE / nullif(r.weight, 0)::DOUBLE)::DECIMAL(13, 12)
        )::DECIMAL(38, 12) AS waste_usd
    FROM wasted_rows AS w
    JOIN rows_of_calls AS r
        ON r.usage_date = w.usage_date
        AND r.feature = w.feature
        AND r.provider IS NOT DISTINCT FROM w.provider
        AND r.model IS NOT DISTINCT FROM w.model
        AND r.task_type IS NOT DISTINCT FROM w.task_type
    JOIN marts.unit_economics_daily AS e
        ON e.usage_date = w.usage_date
        AND e.feature = w.feature
        AND e.provider IS NOT DISTINCT FROM w.provider
        AND e.model IS NOT DISTINCT FROM w.model
        AND e.task_type IS NOT DISTINCT FROM w.task_type
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
