SELECT d.scope, d.identity
FROM ops.deliveries AS d
WHERE d.source_name = $source_name
    AND d.is_current
    AND d.identity IS NOT NULL
    AND d.bounds IS NOT DISTINCT FROM $bounds
    {# calls live in the other file: both must know the delivery #}
    AND (
        d.call_rows IS NULL
        OR EXISTS (SELECT 1 FROM staging.staged_deliveries AS s WHERE s.delivery_id = d.delivery_id)
    )
