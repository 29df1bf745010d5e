-- Traces that stand for a task: outcomes that name the trace are the task's.
--
-- Grain: one row per trace_id that calls name beside another task_id. Private, as staging.tasks is.
-- Why a filter: an id that is a task's own is no trace.
-- Columns:
--   task_id: the task of the trace's calls; null where they name several, of which the outcome then says nothing.
--   tasks: how many they name.
WITH named AS (
    SELECT
        trace_id,
        CASE WHEN count(DISTINCT task_id) = 1 THEN min(task_id) END AS task_id,
        count(DISTINCT task_id) AS tasks
    FROM staging.stg_calls
    WHERE trace_id IS NOT NULL AND task_id IS NOT NULL AND is_duplicate IS NOT TRUE
    GROUP BY trace_id
)
SELECT n.*
FROM named AS n
ANTI JOIN staging.stg_calls AS c ON c.task_id = n.trace_id
