-- Days whose sums are not the recorded ones; the sources of `failed` are known to be incomplete.
WITH recorded AS (
    SELECT source_name, charge_date, billing_currency, sum(billed_cost) AS billed_cost, sum(effective_cost) AS effective_cost
    FROM read_parquet({{ path | literal }})
    WHERE is_current AND NOT list_contains($failed::VARCHAR[], source_name)
    GROUP BY ALL
),
replayed AS (
    SELECT source_name, charge_date, billing_currency, sum(billed_cost) AS billed_cost, sum(effective_cost) AS effective_cost
    FROM ops.delivery_days
    WHERE is_current AND NOT list_contains($failed::VARCHAR[], source_name)
    GROUP BY ALL
)
SELECT source_name, charge_date, billing_currency, r.effective_cost, p.effective_cost
FROM recorded AS r
FULL OUTER JOIN replayed AS p USING (source_name, charge_date, billing_currency)
WHERE r.billed_cost IS DISTINCT FROM p.billed_cost OR r.effective_cost IS DISTINCT FROM p.effective_cost
ORDER BY ALL
LIMIT 1
