-- fail: a task stands twice, or does not stand at all
SELECT standing.tasks AS standing_tasks, told.tasks AS told_tasks
FROM (SELECT count(*) AS tasks FROM staging.tasks) AS standing
CROSS JOIN (SELECT count(DISTINCT task_id) AS tasks FROM staging.stg_calls) AS told
WHERE standing.tasks <> told.tasks;
