-- Until which day each feature is settled, and the sources it waits for; shared pools left out.
SELECT feature, settled_through, due_through, waits_for, is_late
FROM core.feature_settled
WHERE NOT starts_with(feature, {{ pool | literal }})
ORDER BY feature
