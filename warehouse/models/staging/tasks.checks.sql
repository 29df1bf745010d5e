-- fail: a call of a task is in no task, or in two
SELECT standing.calls AS standing_calls, told.calls AS told_calls
FROM (SELECT coalesce(sum(calls), 0) AS calls FROM staging.tasks) AS standing
CROSS JOIN (
    SELECT count(*) AS calls FROM staging.stg_calls WHERE task_id IS NOT NULL AND is_duplicate IS NOT TRUE
) AS told
WHERE standing.calls <> told.calls;
