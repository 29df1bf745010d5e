-- fail: the GPUs do not add up to the GPU charges, on days whose dollars are known
SELECT m.charge_date, m.gpu_cost_usd, c.gpu_cost_usd AS charged_gpu_cost_usd
FROM (SELECT charge_date, sum(gpu_cost_usd) AS gpu_cost_usd FROM marts.gpu_cost_daily GROUP BY charge_date) AS m
FULL JOIN (
    SELECT charge_date, sum(effective_cost_usd) AS gpu_cost_usd, count(*) > count(effective_cost_usd) AS is_unknown
    FROM core.charges
    WHERE ai_kind = 'gpu' AND charge_category IS DISTINCT FROM 'Credit'
        AND charge_date <= (SELECT max(charge_date) FROM core.allocations)
    GROUP BY charge_date
) AS c ON c.charge_date = m.charge_date
WHERE coalesce(m.gpu_cost_usd, 0) <> coalesce(c.gpu_cost_usd, 0) AND c.is_unknown IS NOT TRUE;

-- warn: GPU charges whose type is not known
SELECT charge_date, resource_id, gpu_cost_usd
FROM marts.gpu_cost_daily
WHERE gpu_type IS NULL AND gpu_cost_usd > 0;
