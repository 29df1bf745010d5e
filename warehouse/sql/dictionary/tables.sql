-- What readers are promised: marts, focus, and the tables of core that models make.
SELECT schema_name, table_name, comment
FROM duckdb_tables()
WHERE database_name = current_database()
    AND (schema_name IN ('marts', 'focus') OR (schema_name = 'core' AND comment IS NOT NULL))
ORDER BY list_position(['marts', 'focus', 'core'], schema_name), table_name
