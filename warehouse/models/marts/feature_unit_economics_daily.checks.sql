-- fail: a feature has two rows for one day
SELECT feature, usage_date, count(*) AS row_count
FROM marts.feature_unit_economics_daily
GROUP BY feature, usage_date
HAVING count(*) > 1;

-- fail: the calls of a day differ from core.usage
SELECT m.feature, m.usage_date, m.calls, u.calls AS usage_calls
FROM marts.feature_unit_economics_daily AS m
FULL JOIN (SELECT feature, usage_date, sum(calls) AS calls FROM core.usage GROUP BY feature, usage_date) AS u
    ON u.feature = m.feature AND u.usage_date = m.usage_date
WHERE m.calls IS DISTINCT FROM u.calls;

-- fail: more tasks succeeded than have an outcome
SELECT feature, usage_date, successful_tasks, tasks_with_outcome
FROM marts.feature_unit_economics_daily
WHERE successful_tasks > tasks_with_outcome;
