-- Dollars, tokens and dollars per million tokens of each model, last 30 days, with its share and its change.
WITH newest AS (
    SELECT data_through AS charge_date FROM ops.reported
),
models AS (
    SELECT
        m.provider,
        m.model,
        sum(m.effective_cost_before_credits_usd) FILTER (WHERE m.charge_date > n.charge_date - 30) AS cost_usd,
        sum(m.effective_cost_before_credits_usd) FILTER (WHERE m.charge_date <= n.charge_date - 30) AS previous_cost_usd,
        sum(m.tokens) FILTER (WHERE m.charge_date > n.charge_date - 30) AS tokens,
        sum(m.effective_cost_before_credits_usd) FILTER (WHERE m.charge_date > n.charge_date - 30 AND m.tokens > 0)
            AS token_cost_usd
    FROM marts.model_cost_daily AS m
    CROSS JOIN newest AS n
    WHERE m.charge_date BETWEEN n.charge_date - 59 AND n.charge_date
    GROUP BY m.provider, m.model
)
SELECT
    provider,
    model,
    coalesce(cost_usd, 0)::DECIMAL(38, 2) AS cost_usd,
    CASE WHEN sum(cost_usd) OVER () > 0 THEN round(100 * cost_usd / sum(cost_usd) OVER (), 1) END AS share_percent,
    previous_cost_usd::DECIMAL(38, 2) AS previous_cost_usd,
    CASE WHEN previous_cost_usd > 0 THEN round(100 * (cost_usd / previous_cost_usd - 1), 1) END AS change_percent,
    (tokens / 1000000)::DECIMAL(38, 3) AS million_tokens,
    (token_cost_usd / nullif(tokens, 0) * 1000000)::DECIMAL(38, 4) AS cost_per_million_tokens_usd
FROM models
ORDER BY cost_usd DESC, provider, model
