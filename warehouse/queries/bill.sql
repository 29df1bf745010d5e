-- The bill by month, source and kind of charge: billed and effective cost, credits and tax apart.
SELECT
    date_trunc('month', charge_date)::DATE AS month,
    source_name,
    charge_category,
    billing_currency,
    sum(billed_cost)::DECIMAL(38, 2) AS billed_cost,
    sum(effective_cost)::DECIMAL(38, 2) AS effective_cost,
    sum(effective_cost_usd)::DECIMAL(38, 2) AS effective_cost_usd
FROM core.allocations
GROUP BY ALL
ORDER BY month DESC, source_name, charge_category, billing_currency
