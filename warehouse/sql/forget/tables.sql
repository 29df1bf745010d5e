-- Every table that names the source of its rows.
SELECT database_name || '.' || schema_name || '.' || table_name
FROM duckdb_columns()
JOIN duckdb_tables() USING (database_name, schema_name, table_name)
WHERE column_name = 'source_name'
    -- Staging is a file of its own, or in a DuckLake a schema.
    AND database_name IN ('staging', current_database())
    AND $is_staging = ('staging' IN (database_name, schema_name))
    AND schema_name IN ('main', 'core', 'ops', 'staging', 'raw')
ORDER BY ALL
