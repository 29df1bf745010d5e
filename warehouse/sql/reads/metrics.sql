{# metric, label, value: value as DOUBLE; instants and days as Unix seconds #}
WITH charges AS (
    SELECT source_name, sum(effective_cost_before_credits_usd) AS cost_usd
    FROM marts.coverage
    GROUP BY source_name
),
rows_of AS (
    SELECT source_name, sum(source_rows) AS source_rows FROM ops.deliveries WHERE is_current GROUP BY source_name
),
restated AS (
    SELECT source_name, count(*) AS restated_days FROM ops.restatements GROUP BY source_name
),
newest AS (SELECT date_trunc('month', max(charge_date)) AS month FROM marts.feature_cost_daily)
SELECT 'source_data_through_timestamp_seconds' AS metric, source_name AS label, epoch(data_through)::DOUBLE AS value
FROM marts.freshness
UNION ALL
SELECT 'source_settled_through_timestamp_seconds', source_name, epoch(settled_through)::DOUBLE FROM marts.freshness
UNION ALL
SELECT 'source_fetched_timestamp_seconds', source_name, epoch(last_fetched_at)::DOUBLE FROM marts.freshness
UNION ALL
SELECT 'source_days_late', source_name, days_late::DOUBLE FROM marts.freshness
UNION ALL
SELECT 'source_rows', f.source_name, coalesce(r.source_rows, 0)::DOUBLE
FROM marts.freshness AS f LEFT JOIN rows_of AS r ON r.source_name = f.source_name
UNION ALL
SELECT 'source_cost_dollars', source_name, cost_usd::DOUBLE FROM charges
UNION ALL
SELECT 'source_restated_days_total', f.source_name, coalesce(r.restated_days, 0)::DOUBLE
FROM marts.freshness AS f LEFT JOIN restated AS r ON r.source_name = f.source_name
UNION ALL
SELECT 'feature_month_to_date_dollars', feature, sum(effective_cost_before_credits_usd)::DOUBLE
FROM marts.feature_cost_daily, newest
WHERE charge_date >= newest.month
GROUP BY feature
