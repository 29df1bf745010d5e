SELECT
    feature,
    provider,
    model,
    count(*) AS calls,
    count(*) - count(estimated_cost_usd) AS unpriced_calls,
    sum(estimated_cost_usd)::DECIMAL(38, 12) AS estimated_cost_usd
FROM repriced
GROUP BY feature, provider, model
ORDER BY feature, provider, model
