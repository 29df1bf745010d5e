{#- Every charge with its pool and, in _w0, _w1, …, a bit for each rule that matches it. -#}
SELECT
    c.*,
    {% for places in words %}
    {% set word = loop.index0 %}
    p.w{{ word }}{% for place in places %} & w_{{ place }}.w{{ word }}{% endfor %} AS _w{{ word }}{{ "," if not loop.last }}
    {% endfor %}
FROM (SELECT *, {% include "allocate/pool.sql" %} AS _pool FROM core.charges WHERE {% include "allocate/has_come.sql" %}) AS c
JOIN _pool_words AS p ON p.class = c._pool
{% for key in keys %}
JOIN _classes_{{ loop.index0 }} AS v_{{ loop.index0 }} ON v_{{ loop.index0 }}.value IS NOT DISTINCT FROM c.{{ key }}
JOIN _words_{{ loop.index0 }} AS w_{{ loop.index0 }} ON w_{{ loop.index0 }}.class = v_{{ loop.index0 }}.class
{% endfor %}
