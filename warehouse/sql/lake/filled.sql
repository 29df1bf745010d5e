-- What loads and builds fill.
SELECT schema_name, table_name
FROM duckdb_tables()
WHERE database_name = current_database()
    AND schema_name IN ('core', 'marts', 'focus', 'ops', 'staging')
    AND (schema_name, table_name) <> ('ops', 'migrations')
ORDER BY ALL
