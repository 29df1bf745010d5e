-- Calls that may be reported twice: by a hash first, because few calls share one and many have a key. A call that names
-- neither response nor task may be only where its moment is one of microseconds and it tells how long it took: calls of one
-- millisecond are many, and so are those of a batch whose moment is the batch's.
CREATE OR REPLACE TEMP TABLE suspect_calls AS
WITH hashed AS (
    SELECT
        rowid AS row_id,
        CASE
            WHEN response_id IS NOT NULL THEN hash('r', provider, response_id)
            WHEN task_id IS NOT NULL THEN hash('t', task_id, attempt, called_at, provider, model, feature)
            ELSE hash('m', called_at, provider, model, input_tokens, output_tokens, latency_ms)
        END AS key_hash
    FROM staging.stg_calls
    WHERE response_id IS NOT NULL OR task_id IS NOT NULL OR (latency_ms IS NOT NULL AND epoch_us(called_at) % 1000 <> 0)
)
SELECT row_id
FROM hashed
WHERE key_hash IN (SELECT key_hash FROM hashed GROUP BY key_hash HAVING count(*) > 1)
