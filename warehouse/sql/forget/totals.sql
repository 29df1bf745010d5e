SELECT
    billing_currency,
    min(charge_date),
    max(charge_date),
    sum(source_rows)::BIGINT,
    sum(billed_cost)::DECIMAL(38, 12)
FROM (FROM core.charges UNION ALL BY NAME FROM core.shadow_charges)
WHERE source_name = $source_name AND ($scope IS NULL OR scope = $scope)
GROUP BY billing_currency
ORDER BY billing_currency
