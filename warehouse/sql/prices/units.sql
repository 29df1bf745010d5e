-- The prices, and the same per token in whole 1e-12 dollars where {{ prices }} has them so.
CREATE OR REPLACE TEMP TABLE {{ name }} AS
SELECT
    *,
    {% for kind in kinds %}
    {{ "(%s_usd_per_million * 1000000)" % kind if is_whole else "NULL" }}::BIGINT AS {{ kind }}_units{{ "," if not loop.last }}
    {% endfor %}
FROM {{ prices }}
