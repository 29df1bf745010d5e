-- What telemetry saw of each feature, day, provider and model: estimated dollars (null where any row has
-- none) and tokens by kind.
SELECT
    provider,
    model,
    usage_date,
    feature,
    CASE WHEN count(*) = count(estimated_cost_usd) THEN sum(estimated_cost_usd) END AS estimated_cost_usd,
    {% for kind in kinds %}
    sum({{ kind }})::DECIMAL(38, 0) AS {{ kind }}{{ "," if not loop.last }}
    {% endfor %}
FROM core.usage
WHERE list_contains(?::VARCHAR[], feature)
GROUP BY provider, model, usage_date, feature
ORDER BY provider, model, usage_date, feature
