-- What one call, one task and one successful task costs, per feature, provider, model and kind of task.
--
-- Grain: one row per usage_date, feature, provider, model and task_type. Dollars that no call caused (a model without
--   telemetry, idle GPU hours, fine-tuning, other charges) stand in rows of their own with the bill's provider and model,
--   and without calls.
-- Calendar: days with a call or a charge only. marts.feature_unit_economics_daily is complete, per feature and day.
-- Units: counts and tokens; US dollars. Unit costs divide effective_cost_before_credits_usd, rounded to 9 decimals. Where the
--   provider's bill of the day is not there (yet) the cost is not known: it, unit costs and the margin are null.
-- Dollars: the bill's, given to the rows by telemetry. Charges that name a model go to the calls of that model, those
--   that name none to all calls of their provider, in proportion to the estimates (to tokens where a call has no known
--   price). A GPU machine goes to the calls it served by their GPU seconds; hours in which it was idle, by its own
--   counters (core.gpu_activity) or else by these seconds, stay idle.
--   Training, fine-tuning and evaluation are no call's, nor are the other charges of machines that did nothing else. Per
--   feature and day the rows add up to marts.feature_cost_daily to the last digit.
-- Columns:
--   usage_date: UTC day.
--   provider: the telemetry's; the bill's in rows without calls.
--   failed_calls: calls that ended in an error.
--   retries: calls whose attempt is above 1.
--   tasks: tasks whose first call is in this row.
--   successful_tasks: of these, tasks whose outcome is in the feature's success list; null where none is known.
--   active_users: different users of the row's calls. Rows cannot be added up.
--   training_cost_usd: of effective_cost_before_credits_usd, training, fine-tuning and evaluation; 0 in rows with calls.
--   cache_rate: cached part of the input: cache reads ÷ (uncached + read + written), 6 decimals.
--   estimated_cost_usd: tokens × dated price; null where any call has no known price.
--   estimate_scale: what an estimated dollar came to on the bill, 9 decimals; where the provider's bill of the day is not
--     there yet, that of the provider's model in the 28 days before, as far as they are settled. Null from a billion on:
--     so little of the usage was seen that it says nothing; and where these bills are less than nothing, of refunds.
--   scaled_estimate_usd: the estimate, scaled: the row's cost to the last digit once it is billed.
--   estimate_drift_usd: estimate minus what was billed.
--   billed_or_estimated_cost_usd: effective_cost_before_credits_usd where is_billed; else the scaled estimate, or the
--     estimate where there is no scale; null where neither bill nor price is known.
--   revenue_usd: revenue per unit × successful tasks, where features.yml has it; other revenue is per feature.
--   margin_usd: revenue minus cost.
--   basis: 'estimated' where some of the dollars are; null where no bill is there.
--   is_billed_by_other: not so, but the feature is billed for the model by another provider that none of its calls names
--     (Claude by AWS): these dollars stand in a row without calls.
--   is_outcome_settled: no more outcomes are to be expected for the day's tasks.
--   is_billed: the provider's bill of the day is there, or the calls ran on machines that were billed.
--   is_settled: the day's cost is final as far as the feature's sources promise.
WITH usage AS (
    SELECT
        row_number() OVER (ORDER BY usage_date, feature, provider, model, task_type) AS usage_id,
        *,
        coalesce(input_tokens, 0) + 0.1 * coalesce(cache_read_tokens, 0) + 1.25 * coalesce(cache_write_tokens, 0)
            + 5 * (coalesce(output_tokens, 0) + coalesce(reasoning_tokens, 0)) AS weighted_tokens
    FROM core.usage
),
charges AS (
    SELECT
        a.charge_date AS usage_date,
        a.feature,
        a.provider,
        a.model,
        CASE
            WHEN m.is_training OR coalesce(a.workload, 'unknown') NOT IN ('inference', 'unknown') THEN 'training'
            WHEN a.ai_kind = 'gpu' OR m.resource_id IS NOT NULL THEN 'gpu'
            WHEN a.ai_kind IN ('llm_api', 'ai_platform') AND a.model IS NOT NULL THEN 'model'
            WHEN a.ai_kind IN ('llm_api', 'ai_platform') THEN 'provider'
            ELSE 'other'
        END AS pool_kind,
        CASE WHEN pool_kind = 'gpu' THEN coalesce(m.gpu_type, a.gpu_type) END AS gpu_type,
        CASE WHEN a.charge_category IS DISTINCT FROM 'Credit' THEN a.gpu_hours END AS gpu_hours,
        b.utilization,
        a.billed_cost_usd,
        a.effective_cost_usd,
        CASE WHEN a.charge_category = 'Credit' THEN 0 ELSE a.effective_cost_usd END AS effective_cost_before_credits_usd,
        a.basis
    FROM core.allocations AS a
    LEFT JOIN core.gpu_machines AS m
        ON m.charge_date = a.charge_date AND m.source_name = a.source_name AND m.resource_id = a.resource_id
    LEFT JOIN core.gpu_activity AS b
        ON b.usage_date = a.charge_date
        AND b.source_name = a.source_name
        AND b.resource_id IS NOT DISTINCT FROM a.resource_id
        AND b.gpu_type IS NOT DISTINCT FROM a.gpu_type
        AND a.ai_kind = 'gpu'
),
pools AS (
    SELECT
        row_number() OVER (ORDER BY usage_date, feature, pool_kind, provider, model, gpu_type) AS pool_id,
        usage_date,
        feature,
        pool_kind,
        provider,
        model,
        gpu_type,
        CASE WHEN count(*) = count(billed_cost_usd) THEN sum(billed_cost_usd) END AS billed_cost_usd,
        CASE WHEN count(*) = count(effective_cost_usd) THEN sum(effective_cost_usd) END AS effective_cost_usd,
        CASE WHEN count(*) = count(effective_cost_before_credits_usd) THEN sum(effective_cost_before_credits_usd) END
            AS effective_cost_before_credits_usd,
        bool_or(basis = 'estimated') AS has_estimates
    FROM charges
    GROUP BY usage_date, feature, pool_kind, provider, model, gpu_type
),
-- Busy as marts.gpu_economics_daily has them, so that no dollar is both a call's and idle.
gpu_types AS (
    SELECT
        usage_date,
        feature,
        gpu_type,
        sum(gpu_hours) AS gpu_hours,
        sum(sum(gpu_hours)) OVER (PARTITION BY usage_date, feature) AS hours_of_all_types,
        -- Null where the counters saw only a part of the hours.
        CASE WHEN sum(gpu_hours) > 0 AND sum(gpu_hours) = sum(gpu_hours) FILTER (WHERE utilization IS NOT NULL)
            THEN least(1, sum((gpu_hours * utilization)::DECIMAL(38, 12)) / sum(gpu_hours))::DECIMAL(13, 12)
        END AS measured_share
    FROM charges
    WHERE pool_kind = 'gpu'
    GROUP BY usage_date, feature, gpu_type
),
claims AS (
    SELECT
        p.pool_id,
        u.usage_id,
        u.calls,
        u.estimated_cost_usd,
        u.weighted_tokens,
        NULL::DECIMAL(38, 3) AS gpu_seconds,
        NULL::DECIMAL(38, 12) AS gpu_hours,
        NULL::DECIMAL(38, 12) AS hours_of_all_types,
        NULL::DECIMAL(13, 12) AS measured_share
    FROM pools AS p
    JOIN usage AS u
        ON u.usage_date = p.usage_date
        AND u.feature = p.feature
        AND u.provider = p.provider
        AND (p.pool_kind = 'provider' OR u.model = p.model)
    WHERE p.pool_kind IN ('model', 'provider')
    UNION ALL
    SELECT
        p.pool_id,
        u.usage_id,
        u.calls,
        NULL,
        u.weighted_tokens,
        u.gpu_seconds::DECIMAL(38, 3),
        t.gpu_hours,
        t.hours_of_all_types,
        t.measured_share
    FROM pools AS p
    JOIN gpu_types AS t
        ON t.usage_date = p.usage_date AND t.feature = p.feature AND t.gpu_type IS NOT DISTINCT FROM p.gpu_type
    JOIN usage AS u ON u.usage_date = p.usage_date AND u.feature = p.feature
    WHERE p.pool_kind = 'gpu'
      AND (u.gpu_seconds > 0 OR u.provider NOT IN (SELECT provider FROM core.metered_providers))
),
-- Of the machine hours only the busy ones are shared; where nothing tells which were, all of them are.
busy AS (
    SELECT
        *,
        CASE
            -- A call that tells none beside others that do used none.
            WHEN sum(gpu_seconds) OVER pool > 0 THEN coalesce(gpu_seconds, 0)::DECIMAL(38, 12)
            WHEN count(*) OVER pool = count(estimated_cost_usd) OVER pool AND sum(estimated_cost_usd) OVER pool > 0
                THEN estimated_cost_usd
            WHEN sum(weighted_tokens) OVER pool > 0 THEN weighted_tokens::DECIMAL(38, 12)
            ELSE calls::DECIMAL(38, 12)
        END AS weight,
        CASE
            WHEN measured_share IS NOT NULL THEN measured_share
            WHEN sum(gpu_seconds) OVER pool > 0 AND gpu_hours > 0
                THEN least(1, sum(gpu_seconds) OVER pool / 3600 / hours_of_all_types::DOUBLE)
            ELSE 1
        END::DECIMAL(9, 6) AS busy_share
    FROM claims
    WINDOW pool AS (PARTITION BY pool_id)
),
shares AS (
    SELECT
        pool_id,
        usage_id,
        -- Summed as decimals: a sum of doubles depends on the order of rows.
        (weight::DOUBLE / (sum(weight) OVER (PARTITION BY pool_id))::DOUBLE * busy_share::DOUBLE)::DECIMAL(13, 12) AS share,
        -- The largest row takes what rounding leaves, but not what stays idle.
        busy_share = 1
            AND row_number() OVER (PARTITION BY pool_id ORDER BY weight DESC NULLS LAST, usage_id) = 1 AS is_remainder
    FROM busy
),
parts AS (
    SELECT
        pool_id,
        usage_id,
        is_remainder,
        (p.billed_cost_usd * s.share)::DECIMAL(38, 12) AS billed_cost_usd,
        (p.effective_cost_usd * s.share)::DECIMAL(38, 12) AS effective_cost_usd,
        (p.effective_cost_before_credits_usd * s.share)::DECIMAL(38, 12) AS effective_cost_before_credits_usd
    FROM shares AS s
    JOIN pools AS p USING (pool_id)
),
left_over AS (
    SELECT
        p.pool_id,
        max(usage_id) FILTER (WHERE is_remainder) AS usage_id,
        any_value(p.billed_cost_usd) - coalesce(sum(s.billed_cost_usd) FILTER (WHERE NOT is_remainder), 0)
            AS billed_cost_usd,
        any_value(p.effective_cost_usd) - coalesce(sum(s.effective_cost_usd) FILTER (WHERE NOT is_remainder), 0)
            AS effective_cost_usd,
        any_value(p.effective_cost_before_credits_usd)
            - coalesce(sum(s.effective_cost_before_credits_usd) FILTER (WHERE NOT is_remainder), 0)
            AS effective_cost_before_credits_usd
    FROM pools AS p
    LEFT JOIN parts AS s USING (pool_id)
    GROUP BY p.pool_id
),
given AS (
    SELECT pool_id, usage_id, billed_cost_usd, effective_cost_usd, effective_cost_before_credits_usd
    FROM parts
    WHERE NOT is_remainder
    UNION ALL
    SELECT pool_id, usage_id, billed_cost_usd, effective_cost_usd, effective_cost_before_credits_usd
    FROM left_over
),
cost AS (
    SELECT
        g.usage_id,
        p.usage_date,
        p.feature,
        CASE WHEN g.usage_id IS NULL THEN p.provider ELSE u.provider END AS provider,
        CASE WHEN g.usage_id IS NULL THEN p.model ELSE u.model END AS model,
        CASE WHEN count(*) = count(g.billed_cost_usd) THEN sum(g.billed_cost_usd) END AS billed_cost_usd,
        CASE WHEN count(*) = count(g.effective_cost_usd) THEN sum(g.effective_cost_usd) END AS effective_cost_usd,
        CASE WHEN count(*) = count(g.effective_cost_before_credits_usd) THEN sum(g.effective_cost_before_credits_usd) END
            AS effective_cost_before_credits_usd,
        CASE WHEN NOT bool_or(p.pool_kind = 'training' AND g.effective_cost_before_credits_usd IS NULL)
            THEN coalesce(sum(g.effective_cost_before_credits_usd) FILTER (WHERE p.pool_kind = 'training'), 0)
        END AS training_cost_usd,
        bool_or(p.has_estimates) AS has_estimates
    FROM given AS g
    JOIN pools AS p USING (pool_id)
    LEFT JOIN usage AS u ON u.usage_id = g.usage_id
    GROUP BY ALL
),
telemetry_end AS (
    SELECT max(usage_date) AS usage_date FROM core.usage
),
other_bills AS (
    SELECT DISTINCT usage_date, feature, model
    FROM cost
    WHERE usage_id IS NULL AND model IS NOT NULL AND effective_cost_before_credits_usd > training_cost_usd
),
billed_days AS (
    SELECT DISTINCT charge_date AS usage_date, provider
    FROM core.charges
    WHERE ai_kind IN ('llm_api', 'ai_platform') AND coalesce(workload, 'unknown') IN ('inference', 'unknown')
),
joined AS (
    SELECT
        coalesce(u.usage_date, c.usage_date) AS usage_date,
        coalesce(u.feature, c.feature) AS feature,
        CASE WHEN u.usage_id IS NULL THEN c.provider ELSE u.provider END AS provider,
        CASE WHEN u.usage_id IS NULL THEN c.model ELSE u.model END AS model,
        u.task_type,
        u.* EXCLUDE (usage_id, usage_date, feature, provider, model, task_type),
        c.feature IS NULL AND b.provider IS NULL AS is_unbilled,
        -- Calls that no charge of the provider's bill is for cost nothing as far as the bill says.
        CASE WHEN c.feature IS NOT NULL THEN c.billed_cost_usd WHEN NOT is_unbilled THEN 0 END AS billed_cost_usd,
        CASE WHEN c.feature IS NOT NULL THEN c.effective_cost_usd WHEN NOT is_unbilled THEN 0 END AS effective_cost_usd,
        CASE WHEN c.feature IS NOT NULL THEN c.effective_cost_before_credits_usd WHEN NOT is_unbilled THEN 0 END
            AS effective_cost_before_credits_usd,
        CASE WHEN c.feature IS NULL THEN 0 ELSE c.training_cost_usd END AS training_cost_usd,
        c.has_estimates,
        c.feature IS NOT NULL AS has_charge
    FROM usage AS u
    FULL JOIN cost AS c ON c.usage_id = u.usage_id
    LEFT JOIN billed_days AS b ON b.usage_date = u.usage_date AND b.provider = u.provider
),
billed_models AS (
    SELECT
        j.usage_date,
        j.provider,
        j.model,
        sum(j.effective_cost_before_credits_usd) AS cost_usd,
        sum(j.estimated_cost_usd) AS estimated_usd
    FROM joined AS j
    JOIN marts.feature_cost_daily AS d ON d.feature = j.feature AND d.charge_date = j.usage_date
    WHERE j.has_charge AND j.estimated_cost_usd IS NOT NULL AND j.effective_cost_before_credits_usd IS NOT NULL
        AND d.is_settled
    GROUP BY ALL
),
unbilled AS (
    SELECT DISTINCT usage_date, provider, model FROM joined WHERE is_unbilled AND estimated_cost_usd IS NOT NULL
),
recent_scales AS (
    SELECT
        u.usage_date,
        u.provider,
        u.model,
        CASE WHEN sum(b.cost_usd) >= 0
            THEN TRY_CAST(sum(b.cost_usd) / nullif(sum(b.estimated_usd), 0) AS DECIMAL(18, 9))
        END AS scale
    FROM unbilled AS u
    JOIN billed_models AS b
        ON b.provider = u.provider
        AND b.model IS NOT DISTINCT FROM u.model
        AND b.usage_date BETWEEN u.usage_date - 28 AND u.usage_date - 1
    GROUP BY ALL
)
SELECT
    j.usage_date,
    j.feature,
    j.provider,
    j.model,
    j.task_type,
    j.calls::BIGINT AS calls,
    j.failed_calls::BIGINT AS failed_calls,
    j.retries::BIGINT AS retries,
    j.tasks::BIGINT AS tasks,
    j.successful_tasks::BIGINT AS successful_tasks,
    j.tasks_with_outcome::BIGINT AS tasks_with_outcome,
    j.active_users::BIGINT AS active_users,
    j.input_tokens,
    j.cache_read_tokens,
    j.cache_write_tokens,
    j.output_tokens,
    j.reasoning_tokens,
    j.tool_calls,
    j.gpu_seconds,
    (
        j.cache_read_tokens
        / nullif(coalesce(j.input_tokens, 0) + coalesce(j.cache_read_tokens, 0) + coalesce(j.cache_write_tokens, 0), 0)
    )::DECIMAL(9, 6) AS cache_rate,
    j.billed_cost_usd::DECIMAL(38, 12) AS billed_cost_usd,
    j.effective_cost_usd::DECIMAL(38, 12) AS effective_cost_usd,
    j.effective_cost_before_credits_usd::DECIMAL(38, 12) AS effective_cost_before_credits_usd,
    j.training_cost_usd::DECIMAL(38, 12) AS training_cost_usd,
    j.unpriced_calls::BIGINT AS unpriced_calls,
    j.estimated_cost_usd::DECIMAL(38, 12) AS estimated_cost_usd,
    CASE
        WHEN j.has_charge
            THEN TRY_CAST(j.effective_cost_before_credits_usd / nullif(j.estimated_cost_usd, 0) AS DECIMAL(18, 9))
        ELSE r.scale
    END AS estimate_scale,
    CASE
        WHEN j.estimated_cost_usd IS NULL THEN NULL
        WHEN j.has_charge THEN j.effective_cost_before_credits_usd
        ELSE j.estimated_cost_usd * r.scale
    END::DECIMAL(38, 12) AS scaled_estimate_usd,
    CASE WHEN j.has_charge THEN j.estimated_cost_usd - j.effective_cost_before_credits_usd END::DECIMAL(38, 12)
        AS estimate_drift_usd,
    CASE
        WHEN j.is_unbilled THEN coalesce(j.estimated_cost_usd * r.scale, j.estimated_cost_usd)
        ELSE j.effective_cost_before_credits_usd
    END::DECIMAL(38, 12) AS billed_or_estimated_cost_usd,
    (j.effective_cost_before_credits_usd / nullif(j.calls, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_call_usd,
    (j.effective_cost_before_credits_usd / nullif(j.tasks, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_task_usd,
    (j.effective_cost_before_credits_usd / nullif(j.successful_tasks, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_successful_task_usd,
    (j.effective_cost_before_credits_usd / nullif(j.active_users, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_active_user_usd,
    (f.revenue_per_unit_usd * j.successful_tasks)::DECIMAL(38, 12) AS revenue_usd,
    (f.revenue_per_unit_usd * j.successful_tasks - j.effective_cost_before_credits_usd)::DECIMAL(38, 12) AS margin_usd,
    CASE WHEN NOT j.is_unbilled THEN CASE WHEN j.has_estimates THEN 'estimated' ELSE 'reported' END END AS basis,
    NOT j.is_unbilled AS is_billed,
    j.is_unbilled AND o.model IS NOT NULL AS is_billed_by_other,
    coalesce(j.usage_date + f.outcome_settles_days <= t.usage_date, FALSE) AS is_outcome_settled,
    coalesce(d.is_settled, FALSE) AS is_settled
FROM joined AS j
LEFT JOIN core.features AS f ON f.feature = j.feature
LEFT JOIN marts.feature_cost_daily AS d ON d.feature = j.feature AND d.charge_date = j.usage_date
LEFT JOIN recent_scales AS r
    ON r.usage_date = j.usage_date
    AND r.provider = j.provider
    AND r.model IS NOT DISTINCT FROM j.model
    AND NOT j.has_charge
LEFT JOIN other_bills AS o ON o.usage_date = j.usage_date AND o.feature = j.feature AND o.model = j.model
CROSS JOIN telemetry_end AS t
ORDER BY j.usage_date, j.feature, j.provider, j.model, j.task_type
