-- Sources with `role: shadow` beside what counts, by month: whether they are ready to take over.
SELECT
    source_name,
    date_trunc('month', charge_date)::DATE AS month,
    billing_currency,
    sum(shadow_effective_cost)::DECIMAL(38, 2) AS shadow_effective_cost,
    sum(counted_effective_cost)::DECIMAL(38, 2) AS counted_effective_cost,
    (sum(shadow_effective_cost) - coalesce(sum(counted_effective_cost), 0))::DECIMAL(38, 2) AS difference,
    count(*) FILTER (WHERE shadow_effective_cost IS DISTINCT FROM counted_effective_cost) AS days_that_differ,
    count(*) AS days
FROM marts.shadow_costs
GROUP BY ALL
ORDER BY source_name, month DESC, billing_currency
