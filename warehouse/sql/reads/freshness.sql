-- How far each source has come, and how many days of it are overdue on $as_of (the day of the run, without it).
SELECT
    f.* EXCLUDE (days_late),
    CASE
        WHEN $as_of::DATE IS NULL OR f.settle_days IS NULL THEN f.days_late
        ELSE greatest(0, date_diff('day', f.data_through, $as_of::DATE - 1 - f.settle_days))
    END AS days_late
FROM marts.freshness AS f
ORDER BY f.source_name
