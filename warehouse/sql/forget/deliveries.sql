SELECT scope, any_value(source_type)
FROM ops.deliveries
WHERE is_current AND source_name = $source_name AND ($scope IS NULL OR scope = $scope)
GROUP BY scope
ORDER BY scope
