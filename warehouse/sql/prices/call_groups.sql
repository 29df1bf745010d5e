-- Calls of an hour that meet one price and of which the same kinds of tokens are there: their dollars are those of
-- their summed tokens, to the digit, as long as no price has more than six decimals of a dollar per million.
-- `moment` and `size` stand for all of a group: the prices change at no moment and no size in between.
CREATE OR REPLACE TEMP TABLE call_groups AS
SELECT
    source_name,
    date_trunc('hour', moment) AS usage_hour,
    coalesce(feature, 'unallocated') AS feature,
    provider,
    model,
    task_type,
    api_key_id,
    pricing_tier,
    {% if minutes %}
    date_trunc('hour', moment) + CASE
        {% for past in minutes %}
        WHEN moment - date_trunc('hour', moment) >= INTERVAL '{{ past }} microseconds' THEN INTERVAL '{{ past }} microseconds'
        {% endfor %}
        ELSE INTERVAL '0 microseconds'
    END
    {%- else %}
    date_trunc('hour', moment)
    {%- endif %} AS price_moment,
    {% if sizes %}
    CASE
        {% for size in sizes %}
        WHEN coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0) > {{ size }} THEN {{ size + 1 }}
        {% endfor %}
        ELSE 0
    END
    {%- else %}
    0
    {%- endif %} AS size,
    {% for kind in kinds %}
    coalesce({{ kind }}_tokens, 0) <> 0 AS has_{{ kind }},
    {% endfor %}
    coalesce(input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens) IS NULL
        AND status IS DISTINCT FROM 'error' AS is_empty,
    status IS NOT DISTINCT FROM 'error' AND coalesce(gpu_seconds, 0) = 0
        {%- for kind in kinds %} AND NOT has_{{ kind }}{% endfor %} AS is_free,
    count(*) AS calls,
    count(*) FILTER (WHERE status = 'error') AS failed_calls,
    count(*) FILTER (WHERE attempt > 1) AS retries,
    {% for kind in kinds %}
    sum({{ kind }}_tokens) AS {{ kind }}_tokens,
    {% endfor %}
    sum(tool_calls) AS tool_calls,
    -- A sum of doubles depends on the order of rows; thousandths of a second do not.
    sum(gpu_seconds::DECIMAL(18, 3)) AS gpu_seconds,
    count(logged_cost_usd) AS logged_calls,
    sum(logged_cost_usd) AS logged_cost_usd
FROM (SELECT *, make_timestamp(epoch_us(called_at)) AS moment FROM staging.stg_calls)
WHERE is_duplicate IS NOT TRUE
GROUP BY ALL
