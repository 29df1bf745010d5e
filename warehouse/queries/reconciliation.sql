-- Do the sums agree: the bill, the charges, the allocations and the marts, as the last run checked them.
SELECT
    step,
    source_name,
    billing_currency,
    measure,
    expected,
    actual,
    actual - expected AS difference,
    is_equal,
    checked_at
FROM ops.reconciliations
WHERE run_id = (SELECT arg_max(run_id, checked_at) FROM ops.reconciliations)
ORDER BY is_equal, step, source_name, billing_currency, measure
