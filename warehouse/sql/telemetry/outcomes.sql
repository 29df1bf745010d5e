-- The outcomes of the same tasks, told by the task's own id or by its trace's.
CREATE OR REPLACE TEMP VIEW task_outcomes AS
SELECT *
FROM (
    SELECT task_id, outcome, outcome_at FROM staging.stg_outcomes
    UNION ALL
    SELECT t.task_id, o.outcome, o.outcome_at
    FROM staging.stg_outcomes AS o
    INNER JOIN staging.traces AS t ON t.trace_id = o.task_id
    WHERE t.task_id IS NOT NULL
)
{% if parts > 1 %}
WHERE hash(task_id) % {{ parts }} = {{ part }}
{% endif %}
