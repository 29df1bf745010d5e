-- Retried and failed calls of each feature in the last 30 days, and what the retries cost at its price per call.
WITH newest AS (
    SELECT max(data_through) AS usage_date FROM ops.reported
)
SELECT
    e.feature,
    sum(e.calls)::BIGINT AS calls,
    sum(e.retries)::BIGINT AS retries,
    sum(e.failed_calls)::BIGINT AS failed_calls,
    round(100 * sum(e.retries) / nullif(sum(e.calls), 0), 2) AS retry_percent,
    round(100 * sum(e.failed_calls) / nullif(sum(e.calls), 0), 2) AS failure_percent,
    -- Of the days whose dollars are known.
    (
        sum(e.serving_cost_usd) * sum(e.retries) FILTER (WHERE e.serving_cost_usd IS NOT NULL)::DOUBLE
        / nullif(sum(e.calls) FILTER (WHERE e.serving_cost_usd IS NOT NULL), 0)
    )::DECIMAL(38, 2) AS retry_cost_usd
FROM marts.feature_unit_economics_daily AS e
CROSS JOIN newest AS n
WHERE e.usage_date BETWEEN n.usage_date - 29 AND n.usage_date AND e.calls IS NOT NULL
GROUP BY e.feature
ORDER BY retry_cost_usd DESC NULLS LAST, e.feature
