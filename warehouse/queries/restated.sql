-- Which days' totals a later delivery changed, the newest first.
SELECT
    recorded_at,
    source_name,
    charge_date,
    billing_currency,
    old_effective_cost::DECIMAL(38, 2) AS old_effective_cost,
    new_effective_cost::DECIMAL(38, 2) AS new_effective_cost,
    delta_effective_cost::DECIMAL(38, 2) AS delta_effective_cost,
    delta_billed_cost::DECIMAL(38, 2) AS delta_billed_cost,
    age_days
FROM marts.restatements
ORDER BY recorded_at DESC, source_name, charge_date DESC
LIMIT 100
