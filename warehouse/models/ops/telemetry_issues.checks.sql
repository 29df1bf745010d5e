-- fail: an issue of a source stands twice
SELECT source_name, issue, detail, count(*) AS times
FROM ops.telemetry_issues
GROUP BY ALL
HAVING count(*) > 1;
