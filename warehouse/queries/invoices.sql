-- Each invoice beside the charges of its month, and what explains the difference.
SELECT
    month,
    source_name,
    billing_account_id,
    billing_currency,
    invoice_billed_cost::DECIMAL(38, 2) AS invoice_billed_cost,
    charged_billed_cost::DECIMAL(38, 4) AS charged_billed_cost,
    difference::DECIMAL(38, 4) AS difference,
    tax::DECIMAL(38, 4) AS tax,
    credits::DECIMAL(38, 4) AS credits,
    late::DECIMAL(38, 4) AS late,
    rounding::DECIMAL(38, 4) AS rounding,
    unexplained::DECIMAL(38, 4) AS unexplained,
    is_explained
FROM marts.invoice_reconciliation
ORDER BY month DESC, source_name, billing_account_id
