SELECT DISTINCT
    invoice_issuer_name,
    billing_account_id,
    coalesce(billing_period_start, date_trunc('month', charge_date)::DATE) AS billing_period_start
FROM staged_days
WHERE basis = 'reported'
ORDER BY ALL
