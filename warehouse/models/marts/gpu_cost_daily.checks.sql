-- fail: the GPUs do not add up to the GPU charges
SELECT m.charge_date, m.gpu_cost_usd, c.gpu_cost_usd AS charged_gpu_cost_usd
FROM (SELECT charge_date, sum(gpu_cost_usd) AS gpu_cost_usd FROM marts.gpu_cost_daily GROUP BY charge_date) AS m
FULL JOIN (
    SELECT charge_date, coalesce(sum(effective_cost_usd), 0) AS gpu_cost_usd
    FROM core.charges
    WHERE ai_kind = 'gpu' AND charge_category IS DISTINCT FROM 'Credit'
        AND charge_date <= (SELECT max(charge_date) FROM core.allocations)
    GROUP BY charge_date
) AS c ON c.charge_date = m.charge_date
WHERE m.gpu_cost_usd IS DISTINCT FROM c.gpu_cost_usd;

-- warn: GPU charges whose type is not known
SELECT charge_date, resource_id, gpu_cost_usd
FROM marts.gpu_cost_daily
WHERE gpu_type IS NULL AND gpu_cost_usd > 0;
