SELECT * FROM marts.invoice_reconciliation ORDER BY month DESC, source_name, billing_account_id
