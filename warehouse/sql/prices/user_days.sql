-- Each user's part of the calls of a row of core.usage, per plan; user_id is null where calls name nobody.
CREATE OR REPLACE TEMP TABLE user_days AS
SELECT
    r.usage_id,
    c.plan,
    -- A keyed hash has 32 hexadecimal digits: 16 bytes instead of a text.
    coalesce(TRY_CAST(c.user_hash AS UUID), md5(c.user_hash)::UUID) AS user_id,
    count(*) AS calls,
    count(c.estimated_cost_usd) AS priced_calls,
    sum(c.estimated_cost_usd) AS estimated_cost_usd,
    sum(c.hundredfold_weighted_tokens) AS weighted_tokens
FROM priced_calls AS c
JOIN usage_rows AS r
    ON r.usage_date = c.usage_date
    AND r.feature = c.feature
    AND r.provider IS NOT DISTINCT FROM c.provider
    AND r.model IS NOT DISTINCT FROM c.model
    AND r.task_type IS NOT DISTINCT FROM c.task_type
GROUP BY ALL
