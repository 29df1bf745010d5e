-- The columns of a view are commented in the tables that it joins.
SELECT c.column_name, c.data_type, coalesce(c.comment, j.comment)
FROM duckdb_columns() AS c
LEFT JOIN duckdb_columns() AS j
    ON j.database_name = c.database_name
    AND j.schema_name = c.schema_name
    AND j.table_name IN ('charge_dimensions', 'charge_amounts')
    AND j.column_name = c.column_name
    AND c.table_name IN ('charges', 'shadow_charges')
WHERE c.database_name = current_database() AND c.schema_name = ? AND c.table_name = ?
ORDER BY c.column_index
