-- call_groups with their dollars, as priced_calls has those of a call.
CREATE OR REPLACE TEMP VIEW priced_groups AS
SELECT
    c.* EXCLUDE (price_moment, size),
    CASE
        WHEN c.is_free THEN 0
        WHEN c.is_empty THEN NULL
        ELSE (
            (
                {% for kind in kinds %}
                CASE
                    WHEN NOT c.has_{{ kind }} AND p.price_id IS NOT NULL THEN 0
                    ELSE c.{{ kind }}_tokens::DECIMAL(18, 0) * p.{{ kind }}_usd_per_million
                END{{ " +" if not loop.last }}
                {% endfor %}
            ) * 0.000001
        )
    END::DECIMAL(38, 12) AS estimated_cost_usd
FROM call_groups AS c
LEFT JOIN price_accounts AS a ON a.api_key_id = c.api_key_id
LEFT JOIN core.prices AS p
    ON p.provider = c.provider
    AND p.model = c.model
    AND p.account IS NOT DISTINCT FROM a.account
    AND p.pricing_tier = coalesce(c.pricing_tier, 'standard')
    AND c.price_moment::DATE >= p.valid_from
    AND c.price_moment::DATE < p.valid_to
    AND (p.time_from = TIME '00:00:00' OR c.price_moment::TIME >= p.time_from)
    AND (p.time_to IS NULL OR c.price_moment::TIME < p.time_to)
    AND (p.above_input_tokens = 0 OR c.size > p.above_input_tokens)
    AND (p.up_to_input_tokens IS NULL OR c.size <= p.up_to_input_tokens)
