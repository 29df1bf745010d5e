-- The connectors' TELEMETRY_ISSUES schema.
SELECT
    {{ c.text("issue") }} AS issue,
    {{ c.text("detail") }} AS detail,
    {{ c.cast("occurrences", "BIGINT") }} AS occurrences
FROM {{ relation }}
