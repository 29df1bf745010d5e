SELECT * FROM (
{{ scan }}
) AS unbounded
WHERE TRUE{% if since %} AND {{ day }} >= {{ since | literal }}::DATE{% endif %}{% if until %} AND {{ day }} < {{ until | literal }}::DATE{% endif %}

