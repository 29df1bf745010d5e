INSERT INTO core.metered_usage BY NAME
SELECT
    $source_name AS source_name,
    $scope AS scope,
    $delivery_id AS delivery_id,
    $provider AS provider,
    *
FROM staged_usage
