-- What rules gave to each feature directly, credits left out.
SELECT charge_date, feature, sum(effective_cost_usd) AS effective_cost_usd
FROM core.allocations
WHERE NOT is_allocated AND effective_cost_usd IS NOT NULL AND charge_category IS DISTINCT FROM 'Credit'
GROUP BY ALL
