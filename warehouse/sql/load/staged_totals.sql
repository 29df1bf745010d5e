SELECT
    coalesce(sum(source_rows), 0)::BIGINT AS source_rows,
    coalesce(sum(billed_cost), 0)::DECIMAL(38, 12) AS billed_cost,
    coalesce(sum(effective_cost), 0)::DECIMAL(38, 12) AS effective_cost,
    count(DISTINCT billing_currency) AS currencies,
    any_value(billing_currency) AS billing_currency
FROM staged_days
