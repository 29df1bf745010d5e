-- The rows of core.usage, numbered: what is made of single calls carries one number for five columns.
CREATE OR REPLACE TEMP TABLE usage_rows AS
SELECT
    row_number() OVER (ORDER BY usage_date, feature, provider, model, task_type)::INTEGER AS usage_id,
    usage_date,
    feature,
    provider,
    model,
    task_type
FROM (SELECT DISTINCT usage_hour::DATE AS usage_date, feature, provider, model, task_type FROM priced_hours)
