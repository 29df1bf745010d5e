-- What readers are promised: marts, focus, and of core what has a comment.
SELECT schema_name, table_name, comment
FROM (
    SELECT database_name, schema_name, table_name, comment FROM duckdb_tables()
    UNION ALL
    SELECT database_name, schema_name, view_name, comment FROM duckdb_views()
)
WHERE database_name = current_database()
    AND (schema_name IN ('marts', 'focus') OR (schema_name = 'core' AND comment IS NOT NULL))
ORDER BY list_position(['marts', 'focus', 'core'], schema_name), table_name
