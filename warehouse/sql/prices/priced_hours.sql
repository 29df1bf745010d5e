-- The calls that count, with their dollars, by the hour, once: days, hours and sources all ask for them.
CREATE OR REPLACE TEMP TABLE priced_hours AS
SELECT
    source_name,
    make_timestamptz(epoch_us(usage_hour)) AS usage_hour,
    feature,
    provider,
    model,
    task_type,
    api_key_id,
    sum(calls)::BIGINT AS calls,
    sum(failed_calls)::BIGINT AS failed_calls,
    sum(retries)::BIGINT AS retries,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
    sum(tool_calls)::BIGINT AS tool_calls,
    sum(gpu_seconds) AS gpu_seconds,
    coalesce(sum(calls) FILTER (WHERE estimated_cost_usd IS NOT NULL), 0)::BIGINT AS priced_calls,
    sum(estimated_cost_usd) AS estimated_cost_usd,
    coalesce(sum(calls) FILTER (WHERE pricing_tier = 'batch'), 0)::BIGINT AS batch_calls,
    sum(estimated_cost_usd) FILTER (WHERE pricing_tier = 'batch') AS batch_estimated_cost_usd,
    sum(logged_calls)::BIGINT AS logged_calls,
    sum(logged_cost_usd) AS logged_cost_usd
FROM {{ "priced_groups" if by_group else "single_calls" }}
GROUP BY ALL
