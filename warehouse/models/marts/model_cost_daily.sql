-- What each model costs on each day, whoever uses it, and what a million of its tokens costs.
--
-- Grain: one row per charge_date, provider, model, token_type, workload and pricing tier. model is null for AI charges that
--   name none (tool calls, storage, provisioned capacity).
-- Calendar: days with a charge only; absence is zero.
-- Units: US dollars, effective cost and effective cost before credits; tokens as billed.
--   cost_per_million_tokens_usd is null where the bill counts no tokens.
-- Why a filter: only charges of kind llm_api and ai_platform; GPUs are in marts.gpu_cost_daily.
-- Columns:
--   charge_date: UTC day.
--   tokens: as billed; null where the bill counts none.
--   cost_per_million_tokens_usd: dollars of the charges that count tokens ÷ their tokens × 1,000,000.
SELECT
    charge_date,
    provider,
    model,
    token_type,
    workload,
    pricing_tier,
    sum(tokens)::DECIMAL(38, 6) AS tokens,
    CASE WHEN count(*) = count(effective_cost_usd) THEN sum(effective_cost_usd) END::DECIMAL(38, 12) AS effective_cost_usd,
    CASE WHEN count(*) = count(effective_cost_usd) THEN
        coalesce(sum(effective_cost_usd) FILTER (WHERE charge_category IS DISTINCT FROM 'Credit'), 0)
    END::DECIMAL(38, 12) AS effective_cost_before_credits_usd,
    (
        sum(effective_cost_usd) FILTER (WHERE tokens IS NOT NULL AND charge_category IS DISTINCT FROM 'Credit')
        / nullif(sum(tokens) FILTER (WHERE effective_cost_usd IS NOT NULL), 0) * 1000000
    )::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_million_tokens_usd,
    CASE WHEN bool_or(basis = 'estimated') THEN 'estimated' ELSE 'reported' END AS basis
FROM core.charges
WHERE ai_kind IN ('llm_api', 'ai_platform')
GROUP BY charge_date, provider, model, token_type, workload, pricing_tier
ORDER BY charge_date, provider, model, token_type, workload, pricing_tier
