INSERT INTO staging.stg_calls BY NAME
SELECT
    $source_name AS source_name,
    $scope AS scope,
    $delivery_id AS delivery_id,
    *
FROM (
{{ scan }}
) AS scanned
