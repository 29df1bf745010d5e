-- priced_calls as groups of one: for prices so fine that a sum of rounded calls is not the rounded sum.
CREATE OR REPLACE TEMP VIEW single_calls AS
SELECT
    source_name,
    date_trunc('hour', make_timestamp(epoch_us(called_at))) AS usage_hour,
    feature,
    provider,
    model,
    task_type,
    api_key_id,
    pricing_tier,
    1 AS calls,
    (status IS NOT DISTINCT FROM 'error')::INTEGER AS failed_calls,
    (coalesce(attempt, 1) > 1)::INTEGER AS retries,
    {% for kind in kinds %}
    {{ kind }}_tokens,
    {% endfor %}
    tool_calls,
    gpu_seconds::DECIMAL(18, 3) AS gpu_seconds,
    estimated_cost_usd,
    (logged_cost_usd IS NOT NULL)::INTEGER AS logged_calls,
    logged_cost_usd
FROM priced_calls
