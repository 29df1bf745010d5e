-- The deliveries that speak, in the order in which they were loaded.
SELECT source_name, delivery_id, scope, loaded_at, load_number
FROM read_parquet({{ path | literal }})
WHERE is_current
ORDER BY load_number
