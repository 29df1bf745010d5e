INSERT INTO ops.delivery_days BY NAME
SELECT
    $delivery_id AS delivery_id,
    $load_number AS load_number,
    $source_name AS source_name,
    $scope AS scope,
    *,
    TRUE AS is_current
FROM staged_days
