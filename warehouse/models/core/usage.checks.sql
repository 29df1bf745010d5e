-- fail: a row of the grain stands twice
SELECT usage_date, feature, provider, model, task_type, count(*) AS times
FROM core.usage
GROUP BY ALL
HAVING count(*) > 1;

-- fail: more successful tasks than tasks with an outcome, or more of these than tasks
SELECT usage_date, feature, tasks, tasks_with_outcome, successful_tasks
FROM core.usage
WHERE successful_tasks > tasks_with_outcome OR tasks_with_outcome > tasks;

-- fail: a task of the telemetry is counted in no row, or in two
SELECT counted.tasks AS counted_tasks, told.tasks AS told_tasks
FROM (SELECT coalesce(sum(tasks), 0) AS tasks FROM core.usage) AS counted
CROSS JOIN (SELECT count(*) AS tasks FROM staging.tasks) AS told
WHERE counted.tasks <> told.tasks;

-- warn: calls name a feature that features.yml does not have
SELECT feature, sum(calls) AS calls
FROM core.usage
WHERE feature <> 'unallocated' AND feature NOT IN (SELECT feature FROM core.features)
GROUP BY feature;

-- warn: calls have no known price; prices.yml can give one
SELECT provider, model, sum(unpriced_calls) AS calls
FROM core.usage
WHERE unpriced_calls > 0
GROUP BY provider, model;
