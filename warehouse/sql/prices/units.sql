-- The prices, with bounds that are never null, and per token in whole 1e-12 dollars where {{ prices }} has them so.
CREATE OR REPLACE TEMP TABLE {{ name }} AS
SELECT
    *,
    epoch_us(time_from) AS from_us,
    coalesce(epoch_us(time_to), 86400000000) AS to_us,
    CASE WHEN above_input_tokens > 0 THEN above_input_tokens ELSE -1 END AS above_size,
    coalesce(up_to_input_tokens, 9223372036854775807) AS up_to_size,
    {% for kind in kinds %}
    {{ "(%s_usd_per_million * 1000000)" % kind if is_whole else "NULL" }}::BIGINT AS {{ kind }}_units{{ "," if not loop.last }}
    {% endfor %}
FROM {{ prices }}
