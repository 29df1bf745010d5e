-- Of the staged usage and a scope's, how many days and dimensions are told by both, and the fewer of the two.
WITH mine AS (
    SELECT DISTINCT usage_date, sub_account_id, api_key_id FROM staged_usage
),
other AS (
    SELECT DISTINCT usage_date, sub_account_id, api_key_id
    FROM core.metered_usage
    WHERE source_name = $source_name AND scope = $scope
)
SELECT
    (SELECT count(*) FROM (FROM mine INTERSECT FROM other)),
    least((SELECT count(*) FROM mine), (SELECT count(*) FROM other))
