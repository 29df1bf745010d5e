{#- Charges at the grain of allocations, each with the rule that takes it. A group never mixes a known with an
    unknown amount: its sum is null only where every charge's is. -#}
SELECT
    {% for column in grain %}
    g.{{ column }},
    {% endfor %}
    {% for column in targets %}
    t.{{ column }},
    {% endfor %}
    {% for column, type in measures %}
    g.{{ column }}{{ "," if not loop.last }}
    {% endfor %}
FROM (
    SELECT
        {% for column in grain %}
        {{ column }},
        {% endfor %}
        _taken,
        {% for column, type in measures %}
        sum({{ column }})::{{ type }} AS {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    FROM (
        {% include "allocate/taken.sql" %}
    )
    {% if splitting %}
    WHERE _taken {{ "NOT " if not divided }}IN ({{ splitting | join(", ") }})
    {% endif %}
    GROUP BY
        {% for column in grain %}
        {{ column }},
        {% endfor %}
        _taken,
        {% for column, type in measures %}
        ({{ column }} IS NULL)::INTEGER * {{ 2 ** loop.index0 }}{{ " +" if not loop.last }}
        {% endfor %}
) AS g
JOIN _takers AS t ON t.taken = g._taken
