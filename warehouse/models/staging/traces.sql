-- Traces that stand for a task: outcomes that name the trace are the task's.
--
-- Grain: one row per trace_id that calls name beside another task_id. Private, as staging.tasks is.
-- Why a filter: an id that calls with another trace name as their task is no trace; nor is one that is both the trace of
--   several tasks and the task of calls that name none.
-- Columns:
--   task_id: the task of the trace's calls; null where they name several, of which the outcome then says nothing.
--   tasks: how many they name.
--   is_task: calls that name no task have the trace's id as theirs: they belong to task_id.
WITH named AS MATERIALIZED (
    SELECT
        trace_id,
        CASE WHEN count(DISTINCT task_id) = 1 THEN min(task_id) END AS task_id,
        count(DISTINCT task_id) AS tasks
    FROM staging.stg_calls
    WHERE trace_id IS NOT NULL AND task_id IS NOT NULL AND is_duplicate IS NOT TRUE
    GROUP BY trace_id
),
-- A call whose task is its trace has no trace_id.
own AS (
    SELECT c.task_id, bool_or(c.trace_id IS NOT NULL) AS is_named
    FROM staging.stg_calls AS c
    SEMI JOIN named AS n ON n.trace_id = c.task_id
    GROUP BY c.task_id
)
SELECT n.*, o.task_id IS NOT NULL AS is_task
FROM named AS n
LEFT JOIN own AS o ON o.task_id = n.trace_id
WHERE o.task_id IS NULL OR (NOT o.is_named AND n.tasks = 1)
