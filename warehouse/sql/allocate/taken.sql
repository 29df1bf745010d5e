{#- Every charge with what takes it, as in _takers: the first rule that matches, which is the lowest bit. -#}
SELECT
    *,
    CASE
        {% for places in words %}
        {% set w = "_w" ~ loop.index0 %}
        WHEN {{ w }} <> 0 THEN {{ loop.index0 * word - 1 }} + bit_count(xor({{ w }}, {{ w }} - 1))::INTEGER
        {% endfor %}
        ELSE -1 - _pool
    END AS _taken
FROM (
    {% include "allocate/matched.sql" %}
)
