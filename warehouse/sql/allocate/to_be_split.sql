-- What each split has to divide: its charges' cost by day, provider and model, credits left out.
SELECT
    split,
    charge_date,
    provider,
    model,
    coalesce(sum(effective_cost_usd) FILTER (WHERE charge_category IS DISTINCT FROM 'Credit'), 0) AS billed_usd
FROM _divided
GROUP BY ALL
ORDER BY ALL
