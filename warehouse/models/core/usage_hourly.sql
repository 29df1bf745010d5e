-- The last 14 days by the hour, for the estimated lane: what is spent now, before a bill says so. Two kinds of
-- sources stand side by side, telemetry and providers' own meters; they tell of the same calls, so one is read or
-- the other, and never their sum.
--
-- Grain: one row per source_name, usage_hour, feature, provider, model, sub_account_id and api_key_id.
-- Calendar: only hours with calls, of the 14 UTC days up to the newest hour of any source of the kind.
-- Units: counts and tokens; estimated_cost_usd in US dollars, tokens × price, null where any call has no known price.
-- Columns:
--   usage_hour: begin of the UTC hour.
--   feature: the feature that the call names; 'unallocated' where it names none; null for a provider's meter.
--   sub_account_id: null for telemetry, which names none; a provider's usage API names its project or workspace.
--   tasks: tasks whose first call is in this row.
--   input_tokens: uncached input only; the five kinds of tokens are disjoint.
WITH first_day AS (
    SELECT max(called_at)::DATE - 13 AS usage_date FROM staging.stg_calls
),
tasks AS (
    SELECT
        source_name, date_trunc('hour', started_at) AS usage_hour, feature, provider, model, api_key_id, count(*) AS tasks
    FROM staging.tasks
    WHERE started_at >= (SELECT usage_date FROM first_day)
    GROUP BY ALL
),
traffic AS (
    SELECT
        source_name,
        usage_hour,
        feature,
        provider,
        model,
        api_key_id,
        sum(calls)::BIGINT AS calls,
        sum(failed_calls)::BIGINT AS failed_calls,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
        sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
        CASE WHEN sum(calls) = sum(priced_calls) THEN sum(estimated_cost_usd) END::DECIMAL(38, 12)
            AS estimated_cost_usd
    FROM priced_hours
    WHERE usage_hour >= (SELECT usage_date FROM first_day)
    GROUP BY ALL
)
SELECT
    c.source_name,
    c.usage_hour,
    c.feature,
    c.provider,
    c.model,
    NULL::VARCHAR AS sub_account_id,
    c.api_key_id,
    c.calls,
    c.failed_calls,
    coalesce(t.tasks, 0) AS tasks,
    c.input_tokens,
    c.cache_read_tokens,
    c.cache_write_tokens,
    c.output_tokens,
    c.reasoning_tokens,
    c.estimated_cost_usd
FROM traffic AS c
LEFT JOIN tasks AS t
    ON t.source_name = c.source_name
    AND t.usage_hour = c.usage_hour
    AND t.feature = c.feature
    AND t.provider IS NOT DISTINCT FROM c.provider
    AND t.model IS NOT DISTINCT FROM c.model
    AND t.api_key_id IS NOT DISTINCT FROM c.api_key_id
UNION ALL BY NAME
SELECT
    m.source_name,
    m.usage_hour,
    NULL::VARCHAR AS feature,
    m.provider,
    m.model,
    m.sub_account_id,
    m.api_key_id,
    sum(m.requests)::BIGINT AS calls,
    NULL::BIGINT AS failed_calls,
    NULL::BIGINT AS tasks,
    sum(m.input_tokens)::BIGINT AS input_tokens,
    sum(m.cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(m.cache_write_tokens)::BIGINT AS cache_write_tokens,
    sum(m.output_tokens)::BIGINT AS output_tokens,
    sum(m.reasoning_tokens)::BIGINT AS reasoning_tokens,
    NULL::DECIMAL(38, 12) AS estimated_cost_usd
FROM core.metered_hours AS m
WHERE m.usage_hour >= (SELECT max(usage_hour)::DATE - 13 FROM core.metered_hours)
GROUP BY m.source_name, m.usage_hour, m.provider, m.model, m.sub_account_id, m.api_key_id
