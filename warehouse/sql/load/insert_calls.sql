INSERT INTO staging.stg_calls BY NAME
SELECT
    $source_name AS source_name,
    $scope AS scope,
    $delivery_id AS delivery_id,
    c.* REPLACE (n.canonical_provider AS provider, n.canonical_model AS model)
FROM (
{{ scan }}
) AS c
LEFT JOIN canonical_names AS n ON n.provider IS NOT DISTINCT FROM c.provider AND n.model IS NOT DISTINCT FROM c.model
WHERE c.called_at <= $latest
