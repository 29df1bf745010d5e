SELECT 1
FROM ops.deliveries AS d
WHERE d.delivery_id = $delivery_id
    AND d.source_name = $source_name
    AND d.is_current
    AND d.bounds IS NOT DISTINCT FROM $bounds
    AND (
        d.call_rows IS NULL
        OR EXISTS (SELECT 1 FROM staging.staged_deliveries AS s WHERE s.delivery_id = d.delivery_id)
    )
    {# of a sliding window only a part may speak still: then the same content is news again #}
    AND NOT (
        d.replaces = 'window'
        AND EXISTS (
            SELECT 1
            FROM ops.deliveries AS later
            WHERE later.source_name = d.source_name
                AND later.replaces = 'window'
                AND later.load_number > d.load_number
                AND later.window_start < d.window_end
                AND d.window_start < later.window_end
        )
    )
