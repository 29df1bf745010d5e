SELECT schema_name, table_name, column_name, comment
FROM duckdb_columns()
WHERE database_name = $database AND schema_name IN ('core', 'marts', 'focus', 'ops') AND comment IS NOT NULL
ORDER BY ALL
