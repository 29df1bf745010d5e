-- What staging.tasks is made of, a part of the tasks at a time: all reports of their calls.
CREATE OR REPLACE TEMP VIEW task_reports AS
SELECT
    task_id, called_at, feature, provider, model, task_type, api_key_id, source_name, attempt, status, outcome, is_duplicate
FROM staging.stg_calls
WHERE task_id IS NOT NULL{{ " AND hash(task_id) %% %d = %d" % (parts, part) if parts > 1 }}
