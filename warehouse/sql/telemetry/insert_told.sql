INSERT INTO ops.telemetry_deliveries BY NAME
SELECT $delivery_id AS delivery_id, $source_name AS source_name, issue, detail, sum(occurrences)::BIGINT AS occurrences
FROM (
{{ scan }}
) AS told
GROUP BY ALL
