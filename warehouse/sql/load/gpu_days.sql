-- Resources with a GPU charge, and the days: all their charges of such a day keep their own rows.
CREATE OR REPLACE TEMP TABLE gpu_days AS
SELECT DISTINCT s.resource_id, s.charge_date
FROM (
{{ scan }}
) AS s
JOIN (
    SELECT DISTINCT {% for column in columns %}{{ column }}, {% endfor %}hash({% for column in columns %}{{ column }}, {% endfor %}{{ salt }}) AS key_hash
    FROM dimension_groups
    WHERE ai_kind = 'gpu'
) AS g ON g.key_hash = hash({% for column in columns %}s.{{ column }}, {% endfor %}{{ salt }})
WHERE s.resource_id IS NOT NULL
