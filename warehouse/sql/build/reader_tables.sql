SELECT schema_name, table_name
FROM duckdb_tables()
WHERE database_name = current_database() AND (schema_name IN ('marts', 'focus') OR (schema_name = 'core' AND table_name IN ('allocations', 'usage', 'usage_hourly', 'prices')))
ORDER BY ALL
