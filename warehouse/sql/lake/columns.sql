SELECT schema_name, table_name, column_name, data_type, comment
FROM duckdb_columns()
WHERE database_name = $database AND schema_name IN ('core', 'marts', 'focus', 'ops')
ORDER BY schema_name, table_name, column_index
