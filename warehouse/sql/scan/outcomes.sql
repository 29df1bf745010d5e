-- The connectors' OUTCOMES schema, as rows or as files of it.
SELECT
    {{ c.text("task_id") }} AS task_id,
    {{ c.text("outcome") }} AS outcome,
    {{ c.instant("outcome_at") }} AS outcome_at
FROM {{ relation }}
