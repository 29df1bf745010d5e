-- What other scopes cover, of this source and of others.
SELECT DISTINCT
    source_name,
    scope,
    invoice_issuer_name,
    billing_account_id,
    coalesce(billing_period_start, date_trunc('month', charge_date)::DATE) AS billing_period_start
FROM ops.delivery_days
WHERE is_current
    AND NOT (source_name = $source_name AND scope = $scope)
    AND (role IS NULL OR source_name = $source_name)
    AND (
        billing_account_id IS NULL
        OR billing_account_id IN (SELECT billing_account_id FROM staged_days)
        OR EXISTS (SELECT 1 FROM staged_days AS s WHERE s.billing_account_id IS NULL)
    )
ORDER BY ALL
