-- fail: the models do not add up to the charges of their kinds
SELECT m.charge_date, m.effective_cost_usd, c.effective_cost_usd AS charged_effective_cost_usd
FROM (SELECT charge_date, sum(effective_cost_usd) AS effective_cost_usd FROM marts.model_cost_daily GROUP BY charge_date) AS m
FULL JOIN (
    SELECT charge_date, sum(effective_cost_usd) AS effective_cost_usd
    FROM core.charges WHERE ai_kind IN ('llm_api', 'ai_platform') GROUP BY charge_date
) AS c ON c.charge_date = m.charge_date
WHERE m.effective_cost_usd IS DISTINCT FROM c.effective_cost_usd
  AND NOT EXISTS (
    SELECT 1 FROM marts.model_cost_daily AS u
    WHERE u.charge_date = m.charge_date AND u.effective_cost_usd IS NULL
);
