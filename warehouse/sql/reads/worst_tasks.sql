-- A feature's tasks that went wrong within some days (failed, asked again, or ran away as marts.waste_daily counts it),
-- then its others: the most expensive first. Dollars at list price, null where a call has none; then tokens decide.
WITH usual AS (
    SELECT greatest(10, 5 * quantile_disc(calls, 0.9)) AS loop_calls FROM staging.tasks WHERE feature = $feature
),
tasks AS (
    SELECT
        t.task_id,
        t.calls,
        t.retries,
        t.failed_calls,
        t.calls > u.loop_calls AS is_loop,
        t.outcome IS NOT NULL AND l.feature IS NOT NULL AND s.outcome IS NULL AS is_failure
    FROM staging.tasks AS t
    CROSS JOIN usual AS u
    LEFT JOIN core.feature_success AS s ON s.feature = t.feature AND s.outcome = t.outcome
    LEFT JOIN (SELECT DISTINCT feature FROM core.feature_success) AS l ON l.feature = t.feature
    WHERE t.feature = $feature AND t.task_date BETWEEN $since AND $through
),
priced AS (
    SELECT
        task_id,
        CASE WHEN count(*) = count(estimated_cost_usd) THEN sum(estimated_cost_usd) END::DECIMAL(38, 12) AS cost_usd,
        sum(weighted_tokens) AS weighted_tokens
    FROM priced_calls
    WHERE task_id IN (SELECT task_id FROM tasks) AND usage_date >= $since
    GROUP BY task_id
)
SELECT t.*, p.cost_usd
FROM tasks AS t
JOIN priced AS p ON p.task_id = t.task_id
ORDER BY
    t.is_failure OR t.is_loop OR t.retries > 0 OR t.failed_calls > 0 DESC,
    p.cost_usd DESC NULLS LAST,
    p.weighted_tokens DESC NULLS LAST,
    t.task_id
LIMIT $most
