-- The day of the run, and the day to which its report counts: canned queries count to the same.
CREATE OR REPLACE TABLE ops.reported AS
SELECT
    $as_of::DATE AS as_of,
    coalesce(min(settled_through) FILTER (WHERE NOT is_late), max(settled_through)) AS data_through
FROM core.feature_settled
WHERE NOT starts_with(feature, $pool)
