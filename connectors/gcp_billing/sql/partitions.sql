-- What each partition holds, from a day on: the newest export and the number of rows.
SELECT {{ bucket }} AS partition_start, MAX({{ export_time }}) AS newest_export, COUNT(*) AS export_rows
FROM {{ table }}
WHERE {{ condition }}
GROUP BY partition_start
