-- A hash per dimension and combination, salted by the dimension's name: numbers are told apart faster than texts.
SELECT {% for column in columns %}hash({{ column }}, '{{ column }}') AS {{ column }}, {% endfor %}hash({{ target }}, '_target') AS _target
FROM dimension_groups
