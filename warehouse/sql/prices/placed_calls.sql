-- Every call that counts with the number of its row, without a price: what needs none is spared the search for it.
CREATE OR REPLACE TEMP VIEW placed_calls AS
SELECT r.usage_id, c.*
FROM (
    SELECT rowid AS call_id, *, make_timestamp(epoch_us(called_at))::DATE AS usage_date
    FROM staging.stg_calls
    WHERE is_duplicate IS NOT TRUE
) AS c
JOIN usage_rows AS r
    ON r.usage_date = c.usage_date
    AND r.feature = coalesce(c.feature, 'unallocated')
    AND r.provider IS NOT DISTINCT FROM c.provider
    AND r.model IS NOT DISTINCT FROM c.model
    AND r.task_type IS NOT DISTINCT FROM c.task_type
