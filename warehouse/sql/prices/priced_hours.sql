-- priced_calls added up by the hour, once: dollars are dear to compute, and days, hours and sources all ask for them.
CREATE OR REPLACE TEMP TABLE priced_hours AS
SELECT
    source_name,
    date_trunc('hour', called_at) AS usage_hour,
    feature,
    provider,
    model,
    task_type,
    api_key_id,
    count(*) AS calls,
    count(*) FILTER (WHERE status = 'error') AS failed_calls,
    count(*) FILTER (WHERE attempt > 1) AS retries,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
    sum(tool_calls)::BIGINT AS tool_calls,
    -- A sum of doubles depends on the order of rows; thousandths of a second do not.
    sum(gpu_seconds::DECIMAL(18, 3)) AS gpu_seconds,
    count(estimated_cost_usd) AS priced_calls,
    sum(estimated_cost_usd) AS estimated_cost_usd,
    count(logged_cost_usd) AS logged_calls,
    sum(logged_cost_usd) AS logged_cost_usd
FROM priced_calls
GROUP BY ALL
