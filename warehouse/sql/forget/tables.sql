-- Every table that names the source of its rows.
SELECT database_name || '.' || schema_name || '.' || table_name
FROM duckdb_columns()
JOIN duckdb_tables() USING (database_name, schema_name, table_name)
WHERE column_name = 'source_name'
    AND CASE WHEN $is_staging THEN database_name = 'staging' ELSE database_name = current_database() END
    AND schema_name IN ('main', 'core', 'ops', 'staging', 'raw')
ORDER BY ALL
