-- What is late, doubled, rejected or unknown in each telemetry source, and what became of it.
SELECT source_name, issue, detail, occurrences, treatment
FROM ops.telemetry_issues
ORDER BY source_name, occurrences DESC, issue, detail
LIMIT 200
