INSERT INTO core.metered_usage BY NAME
SELECT
    $source_name AS source_name,
    $scope AS scope,
    $delivery_id AS delivery_id,
    $provider AS provider,
    u.* REPLACE (n.canonical_model AS model)
FROM staged_usage AS u
LEFT JOIN canonical_names AS n ON n.model IS NOT DISTINCT FROM u.model
