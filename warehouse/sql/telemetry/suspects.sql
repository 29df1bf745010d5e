-- Calls that may be reported twice: by a hash first, because few calls share one and many have a key.
CREATE OR REPLACE TEMP TABLE suspect_calls AS
WITH hashed AS (
    SELECT
        rowid AS row_id,
        CASE
            WHEN response_id IS NOT NULL THEN hash('r', provider, response_id)
            ELSE hash('t', task_id, attempt, called_at, provider, model, feature)
        END AS key_hash
    FROM staging.stg_calls
    WHERE response_id IS NOT NULL OR task_id IS NOT NULL
)
SELECT row_id
FROM hashed
WHERE key_hash IN (SELECT key_hash FROM hashed GROUP BY key_hash HAVING count(*) > 1)
