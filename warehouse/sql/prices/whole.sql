-- Whether dollars of a call are whole 1e-12 at these prices, in as many as a BIGINT holds: a call has at most 10^8 tokens
-- of a kind.
SELECT
    {% for kind in kinds %}
    coalesce(bool_and({{ kind }}_usd_per_million = round({{ kind }}_usd_per_million, 6) AND {{ kind }}_usd_per_million < 10000), TRUE){{ " AND" if not loop.last }}
    {% endfor %}
FROM {{ prices }}
