-- Whether a delivery speaks on other terms. One that a newer one covers, which it outlives by its meter alone, does not.
SELECT 1
FROM ops.deliveries AS d
WHERE d.is_current
    AND d.source_name = $source_name
    AND d.bounds IS DISTINCT FROM $bounds
    AND NOT EXISTS (
        SELECT 1
        FROM ops.deliveries AS later
        WHERE later.is_current
            AND later.source_name = d.source_name
            AND later.load_number > d.load_number
            AND d.replaces = 'window'
            AND later.replaces = 'window'
            AND later.window_start <= d.window_start
            AND later.window_end >= d.window_end
    )
LIMIT 1
