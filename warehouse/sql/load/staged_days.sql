-- The delivery's control totals, counted from the scan and from nothing that comes after it.
CREATE OR REPLACE TEMP TABLE staged_days AS
SELECT
    g.invoice_issuer_name,
    g.billing_account_id,
    g.billing_period_start,
    s.charge_date,
    g.billing_currency,
    g.basis,
    sum(s.source_rows)::BIGINT AS source_rows,
    sum(s.billed_cost)::DECIMAL(38, 12) AS billed_cost,
    sum(s.effective_cost)::DECIMAL(38, 12) AS effective_cost,
    CASE WHEN count(s.list_cost) = count(*) THEN sum(s.list_cost)::DECIMAL(38, 12) END AS list_cost
FROM staged_charges AS s
JOIN charge_groups AS g ON g.charge_group = s.charge_group
GROUP BY ALL
