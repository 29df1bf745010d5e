-- How far each source has come, and how many days of it are overdue on `as_of` (the day of the run, without it).
SELECT
    f.* EXCLUDE (days_late),
    CASE
        WHEN d.as_of IS NULL OR f.days_late IS NULL THEN f.days_late
        ELSE greatest(0, date_diff('day', f.data_through, d.as_of - 1 - f.settle_days) - f.usual_pause_days)
    END AS days_late
FROM marts.freshness AS f
CROSS JOIN (SELECT {{ as_of | literal if as_of else 'NULL' }}::DATE AS as_of) AS d
ORDER BY f.source_name
