-- The newest export, and what time it is by BigQuery's own clock.
SELECT MAX({{ export_time }}) AS newest_export, CURRENT_TIMESTAMP() AS asked_at
FROM {{ table }}
WHERE {{ condition }}
