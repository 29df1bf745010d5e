-- Each feature's traffic by provider and model over its last $days settled days, or since its first call, with what it was
-- billed (0 where it never was; a day without its bill by the scaled estimate); and the least and the most of its whole weeks,
-- against the average one. Days on which a self-hosted model ran on machines that were not billed are in none of it, unless
-- they never were: nothing prices its calls. Where the feature has no bill, its days end before the newest one of its telemetry, which may not
-- be over.
{% macro same_model(one, other) -%}
{{ one }}.feature = {{ other }}.feature
        AND {{ one }}.provider IS NOT DISTINCT FROM {{ other }}.provider
        AND {{ one }}.model IS NOT DISTINCT FROM {{ other }}.model
{%- endmacro %}
WITH ends AS (
    SELECT
        h.feature,
        CASE WHEN b.feature IS NULL THEN greatest(h.newest_day - 1, h.first_day) ELSE b.settled_through END AS last_day,
        least($days, last_day - h.first_day + 1)::INTEGER AS days
    FROM (
        SELECT feature, min(usage_date) AS first_day, max(usage_date) AS newest_day FROM core.usage GROUP BY feature
    ) AS h
    LEFT JOIN (
        SELECT feature, max(charge_date) FILTER (WHERE is_settled) AS settled_through
        FROM marts.feature_cost_daily
        GROUP BY feature
    ) AS b ON b.feature = h.feature
),
recent AS (
    SELECT
        u.*,
        e.last_day,
        e.days,
        (e.last_day - u.usage_date) // 7 AS week
    FROM marts.unit_economics_daily AS u
    JOIN ends AS e ON e.feature = u.feature
    WHERE u.usage_date > e.last_day - e.days AND u.usage_date <= e.last_day
      AND ($feature IS NULL OR u.feature = $feature)
),
left_out AS (
    SELECT feature, provider, model, usage_date, any_value(week) AS week
    FROM recent
    WHERE calls > 0
    GROUP BY feature, provider, model, usage_date
    QUALIFY bool_or(gpu_seconds > 0 AND NOT is_billed AND billed_or_estimated_cost_usd IS NULL)
        AND bool_or(bool_or(is_billed)) OVER (PARTITION BY feature, provider, model)
),
left_out_days AS (
    SELECT feature, provider, model, list(usage_date ORDER BY usage_date) AS days
    FROM left_out
    GROUP BY feature, provider, model
),
weeks AS (
    SELECT r.feature, r.provider, r.model, r.week, sum(r.billed_or_estimated_cost_usd) AS cost_usd
    FROM recent AS r
    ANTI JOIN left_out AS o
        ON {{ same_model("o", "r") }}
        AND o.week = r.week
    WHERE r.calls IS NOT NULL AND (r.week + 1) * 7 <= r.days
    GROUP BY r.feature, r.provider, r.model, r.week
),
batches AS (
    SELECT
        u.feature,
        u.provider,
        u.model,
        sum(u.batch_calls) AS batch_calls,
        CASE WHEN sum(u.unpriced_calls) = 0 THEN sum(u.batch_estimated_cost_usd) END AS batch_usd
    FROM core.usage AS u
    JOIN ends AS e ON e.feature = u.feature
    ANTI JOIN left_out AS o
        ON {{ same_model("o", "u") }}
        AND o.usage_date = u.usage_date
    WHERE u.usage_date > e.last_day - e.days AND u.usage_date <= e.last_day
    GROUP BY u.feature, u.provider, u.model
),
swings AS (
    SELECT feature, provider, model, min(cost_usd) AS least_usd, max(cost_usd) AS most_usd, avg(cost_usd) AS mean_usd
    FROM weeks
    GROUP BY feature, provider, model
)
SELECT
    r.feature,
    r.provider,
    r.model,
    any_value(r.last_day) AS last_day,
    any_value(r.days) - coalesce(len(any_value(o.days)), 0)::INTEGER AS days,
    coalesce(any_value(o.days), []) AS left_out,
    sum(r.calls)::BIGINT AS calls,
    sum(r.retries)::BIGINT AS retries,
    sum(r.gpu_seconds) > 0 AS is_self_hosted,
    bool_or(r.is_billed) AS is_billed,
    coalesce(sum(r.input_tokens), 0)::BIGINT AS input_tokens,
    coalesce(sum(r.cache_read_tokens), 0)::BIGINT AS cache_read_tokens,
    coalesce(sum(r.cache_write_tokens), 0)::BIGINT AS cache_write_tokens,
    (coalesce(sum(r.output_tokens), 0) + coalesce(sum(r.reasoning_tokens), 0))::BIGINT AS output_tokens,
    CASE
        WHEN NOT bool_or(r.is_billed) THEN 0
        WHEN count(*) = count(r.billed_or_estimated_cost_usd) THEN sum(r.billed_or_estimated_cost_usd)
    END::DECIMAL(38, 12) AS cost_usd,
    CASE WHEN sum(r.unpriced_calls) = 0 THEN sum(r.estimated_cost_usd) END::DECIMAL(38, 12) AS estimated_cost_usd,
    -- Of its dollars, or of its calls where some have no known price.
    coalesce(
        any_value(b.batch_usd)::DOUBLE / nullif(CASE WHEN sum(r.unpriced_calls) = 0 THEN sum(r.estimated_cost_usd) END, 0),
        any_value(b.batch_calls) / sum(r.calls),
        0
    )::DECIMAL(9, 6) AS batch_share,
    TRY_CAST(any_value(s.least_usd)::DOUBLE / nullif(any_value(s.mean_usd), 0) AS DECIMAL(18, 6)) AS least_week,
    TRY_CAST(any_value(s.most_usd)::DOUBLE / nullif(any_value(s.mean_usd), 0) AS DECIMAL(18, 6)) AS most_week
FROM recent AS r
ANTI JOIN left_out AS n
    ON {{ same_model("n", "r") }}
    AND n.usage_date = r.usage_date
LEFT JOIN left_out_days AS o
    ON {{ same_model("o", "r") }}
LEFT JOIN swings AS s
    ON {{ same_model("s", "r") }}
LEFT JOIN batches AS b
    ON {{ same_model("b", "r") }}
WHERE r.calls > 0
GROUP BY r.feature, r.provider, r.model
ORDER BY cost_usd DESC NULLS LAST, estimated_cost_usd DESC NULLS LAST, r.feature, r.provider, r.model
