-- Which of the columns have a value in any row.
SELECT {% for column in columns %}count({{ column }}) > 0{{ ", " if not loop.last }}{% endfor %}

FROM (
{{ scan }}
) AS r
