-- Fields that are dropped by their names are what projection is for: they are no news.
SELECT source_name, issue, treatment, sum(occurrences)::BIGINT AS occurrences
FROM ops.telemetry_issues
WHERE issue NOT IN ('dropped_field', 'out_of_order')
GROUP BY ALL
ORDER BY source_name, occurrences DESC, issue
