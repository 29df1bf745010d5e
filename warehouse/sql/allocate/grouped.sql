{#- Charges at the grain of allocations, each with the rule that takes it. A group never mixes a known with an
    unknown amount: its sum is null only where every charge's is. -#}
SELECT
    {% for column in grain %}
    c.{{ column }},
    {% endfor %}
    {% for column in targets %}
    m.{{ column }},
    {% endfor %}
    {% for column, type in measures %}
    sum(c.{{ column }})::{{ type }} AS {{ column }}{{ "," if not loop.last }}
    {% endfor %}
FROM (
    SELECT
        *,
        {% include "allocate/epoch.sql" %} AS _epoch,
        {% include "allocate/pool.sql" %} AS _pool
    FROM core.charges
) AS c
JOIN _matched AS m
    ON m._epoch = c._epoch
    AND m._pool = c._pool
    {% for key in keys %}
    AND m.{{ key }} IS NOT DISTINCT FROM c.{{ key }}
    {% endfor %}
WHERE m.split IS {{ "NOT " if divided }}NULL
GROUP BY
    {% for column in grain %}
    c.{{ column }},
    {% endfor %}
    {% for column in targets %}
    m.{{ column }},
    {% endfor %}
    {% for column, type in measures %}
    (c.{{ column }} IS NULL)::INTEGER * {{ 2 ** loop.index0 }}{{ " +" if not loop.last }}
    {% endfor %}
