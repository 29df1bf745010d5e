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
WITH recent AS (
    SELECT c.*
    FROM priced_calls AS c
    WHERE c.called_at >= (SELECT max(called_at)::DATE - 13 FROM staging.stg_calls)
)
SELECT
    c.source_name,
    date_trunc('hour', c.called_at) AS usage_hour,
    c.feature AS feature,
    c.provider,
    c.model,
    NULL::VARCHAR AS sub_account_id,
    c.api_key_id,
    count(*) AS calls,
    count(*) FILTER (WHERE c.status = 'error') AS failed_calls,
    count(DISTINCT t.task_id) AS tasks,
    sum(c.input_tokens)::BIGINT AS input_tokens,
    sum(c.cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(c.cache_write_tokens)::BIGINT AS cache_write_tokens,
    sum(c.output_tokens)::BIGINT AS output_tokens,
    sum(c.reasoning_tokens)::BIGINT AS reasoning_tokens,
    CASE WHEN count(*) = count(c.estimated_cost_usd) THEN sum(c.estimated_cost_usd) END::DECIMAL(38, 12) AS estimated_cost_usd
FROM recent AS c
LEFT JOIN staging.tasks AS t
    ON t.task_id = c.task_id
    AND t.started_at = c.called_at
    AND t.feature = c.feature
    AND t.provider IS NOT DISTINCT FROM c.provider
    AND t.model IS NOT DISTINCT FROM c.model
    AND t.api_key_id IS NOT DISTINCT FROM c.api_key_id
GROUP BY ALL
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
