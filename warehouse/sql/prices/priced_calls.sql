-- Every call that counts, with its dollars at the price of its moment, model, account and size. A failed call of
-- neither tokens nor GPU seconds is billed none, whatever its model; any other without a price has no dollars, nor has one
-- that did not fail and reports no tokens.
CREATE OR REPLACE TEMP VIEW {{ name }} AS
SELECT
    c.call_id,
    c.source_name,
    c.called_at,
    c.moment::DATE AS usage_date,
    coalesce(c.feature, 'unallocated') AS feature,
    c.provider,
    c.model,
    c.task_id,
    c.task_type,
    c.attempt,
    c.status,
    c.response_id,
    c.user_hash,
    c.plan,
    c.prompt_version,
    c.api_key_id,
    coalesce(c.pricing_tier, 'standard') AS pricing_tier,
    c.input_tokens,
    c.cache_read_tokens,
    c.cache_write_tokens,
    c.output_tokens,
    c.reasoning_tokens,
    c.tool_calls,
    c.gpu_seconds,
    c.logged_cost_usd,
    p.price_id,
    p.input_usd_per_million,
    p.cache_read_usd_per_million,
    p.output_usd_per_million,
    p.input_units,
    p.cache_read_units,
    coalesce(c.input_tokens, 0) + coalesce(c.cache_read_tokens, 0) + coalesce(c.cache_write_tokens, 0)
        AS whole_input_tokens,
    -- As if all were uncached input, at the usual relations of prices: what a call weighs that has no known price.
    coalesce(c.input_tokens, 0) + 0.1 * coalesce(c.cache_read_tokens, 0) + 1.25 * coalesce(c.cache_write_tokens, 0)
        + 5 * (coalesce(c.output_tokens, 0) + coalesce(c.reasoning_tokens, 0)) AS weighted_tokens,
    100 * coalesce(c.input_tokens, 0) + 10 * coalesce(c.cache_read_tokens, 0) + 125 * coalesce(c.cache_write_tokens, 0)
        + 500 * (coalesce(c.output_tokens, 0) + coalesce(c.reasoning_tokens, 0)) AS hundredfold_weighted_tokens,
    CASE
        WHEN c.status = 'error' AND coalesce(c.gpu_seconds, 0) = 0
            {%- for kind in kinds %} AND coalesce(c.{{ kind }}_tokens, 0) = 0{% endfor %} THEN 0
        WHEN p.price_id IS NULL THEN NULL
        WHEN c.status IS DISTINCT FROM 'error'
            AND coalesce(c.input_tokens, c.cache_read_tokens, c.cache_write_tokens, c.output_tokens, c.reasoning_tokens) IS NULL
            THEN NULL
        {% if is_whole %}
        -- Whole 1e-12 dollars: prices have at most six decimals, so that nothing is rounded.
        ELSE (
            {% for kind in kinds %}
            CASE WHEN coalesce(c.{{ kind }}_tokens, 0) = 0 THEN 0 ELSE c.{{ kind }}_tokens * p.{{ kind }}_units END{{ " +" if not loop.last }}
            {% endfor %}
        )::DECIMAL(38, 0) * 0.000000000001
        {% else %}
        ELSE (
            (
                {% for kind in kinds %}
                CASE
                    WHEN coalesce(c.{{ kind }}_tokens, 0) = 0 THEN 0
                    ELSE c.{{ kind }}_tokens::DECIMAL(18, 0) * p.{{ kind }}_usd_per_million
                END{{ " +" if not loop.last }}
                {% endfor %}
            ) * 0.000001
        )
        {% endif %}
    END::DECIMAL(38, 12) AS estimated_cost_usd
-- A date of a time with a zone asks for the zone, row by row; of UTC's microseconds it is arithmetic.
FROM (SELECT rowid AS call_id, *, make_timestamp(epoch_us(called_at)) AS moment FROM staging.stg_calls) AS c
LEFT JOIN price_accounts AS a ON a.api_key_id = c.api_key_id
-- Comparisons only, so that DuckDB looks prices up by hash: an OR would have it go through all of them for each call.
LEFT JOIN {{ prices }} AS p
    ON p.provider = c.provider
    AND p.model = c.model
    AND p.account IS NOT DISTINCT FROM a.account
    AND p.pricing_tier = coalesce(c.pricing_tier, 'standard')
    AND p.valid_from <= c.moment::DATE
    AND p.valid_to > c.moment::DATE
    AND p.from_us <= epoch_us(c.moment) % 86400000000
    AND p.to_us > epoch_us(c.moment) % 86400000000
    AND p.above_size
        < coalesce(c.input_tokens, 0) + coalesce(c.cache_read_tokens, 0) + coalesce(c.cache_write_tokens, 0)
    AND p.up_to_size
        >= coalesce(c.input_tokens, 0) + coalesce(c.cache_read_tokens, 0) + coalesce(c.cache_write_tokens, 0)
WHERE c.is_duplicate IS NOT TRUE
{% if since %}
    AND c.called_at >= {{ since | literal }}::DATE AND c.called_at < {{ until | literal }}::DATE
{% endif %}
