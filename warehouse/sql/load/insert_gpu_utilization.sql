INSERT INTO core.gpu_utilization BY NAME
SELECT
    $source_name AS source_name,
    $scope AS scope,
    $delivery_id AS delivery_id,
    u.*
FROM (
{{ scan }}
) AS u
