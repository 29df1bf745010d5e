-- What readers are given of a lake: telemetry by call stays in it.
SELECT schema_name, table_name, comment
FROM duckdb_tables()
WHERE database_name = $database AND schema_name IN ('core', 'marts', 'focus', 'ops')
ORDER BY ALL
