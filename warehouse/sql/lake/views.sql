SELECT schema_name, view_name, sql, comment
FROM duckdb_views()
WHERE database_name = $database AND schema_name IN ('core', 'marts', 'focus', 'ops')
ORDER BY schema_name, view_name
