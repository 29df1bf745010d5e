-- Whether a scope's current delivery has a day of the staged ones.
SELECT 1
FROM ops.delivery_days
WHERE is_current AND source_name = $source_name AND scope = $scope
    AND charge_date IN (SELECT charge_date FROM staged_days)
LIMIT 1
