-- fail: the sums differ from core.charges
SELECT f.x_SourceName, f.BillingCurrency, f.billed_cost, c.billed_cost AS charged_billed_cost
FROM (
    SELECT x_SourceName, BillingCurrency, sum(BilledCost) AS billed_cost, sum(EffectiveCost) AS effective_cost
    FROM focus.cost_and_usage GROUP BY x_SourceName, BillingCurrency
) AS f
FULL JOIN (
    SELECT source_name, billing_currency, sum(billed_cost) AS billed_cost, sum(effective_cost) AS effective_cost
    FROM core.charges GROUP BY source_name, billing_currency
) AS c ON c.source_name = f.x_SourceName AND c.billing_currency = f.BillingCurrency
WHERE f.billed_cost IS DISTINCT FROM c.billed_cost OR f.effective_cost IS DISTINCT FROM c.effective_cost;

-- warn: columns that FOCUS requires are null
SELECT x_SourceName, count(*) AS row_count
FROM focus.cost_and_usage
WHERE BillingAccountId IS NULL OR ChargeCategory IS NULL OR InvoiceIssuerName IS NULL OR ServiceName IS NULL
    OR BilledCost IS NULL OR EffectiveCost IS NULL
GROUP BY x_SourceName;
