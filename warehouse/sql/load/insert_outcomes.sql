INSERT INTO staging.stg_outcomes BY NAME
SELECT
    $source_name AS source_name,
    $scope AS scope,
    $delivery_id AS delivery_id,
    o.*
FROM (
{{ scan }}
) AS o
WHERE o.outcome_at <= $latest
