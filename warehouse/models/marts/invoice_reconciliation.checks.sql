-- fail: the parts do not add up to the difference
SELECT source_name, month, difference, tax, credits, late, rounding, unexplained
FROM marts.invoice_reconciliation
WHERE difference <> tax + credits + late + rounding + unexplained
    OR difference <> invoice_billed_cost - charged_billed_cost;

-- fail: an invoice is missing or stands twice
SELECT source_name, billing_account_id, month, count(*) AS times
FROM (
    SELECT source_name, billing_account_id, month FROM core.invoices
    UNION ALL
    SELECT source_name, billing_account_id, month FROM marts.invoice_reconciliation
)
GROUP BY ALL
HAVING count(*) <> 2;

-- warn: an invoice differs from its charges, and nothing explains it
SELECT source_name, month, billing_currency, unexplained
FROM marts.invoice_reconciliation
WHERE NOT is_explained;
