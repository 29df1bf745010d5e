-- Resources with a GPU charge, and the days: all their charges of such a day keep their own rows.
CREATE OR REPLACE TEMP TABLE gpu_days AS
SELECT DISTINCT s.resource_id, s.charge_date
FROM (
{{ scan }}
) AS s
JOIN (
    SELECT DISTINCT {{ columns | join(", ") }} FROM dimension_groups WHERE ai_kind = 'gpu'
) AS g ON {% for column in columns %}g.{{ column }} {{ equal }} s.{{ column }}{{ " AND " if not loop.last }}{% endfor %}

WHERE s.resource_id IS NOT NULL
