-- What rules give to features directly, what goes to a shared pool, and what nobody takes.
CREATE OR REPLACE TABLE core.allocations AS
WITH grouped AS (
    {% include "allocate/grouped.sql" %}
)
SELECT
    {% for column in grain %}
    {{ column }},
    {% endfor %}
    feature,
    rule,
    FALSE AS is_allocated,
    {% for column, type in measures %}
    {{ column }}{{ "," if not loop.last }}
    {% endfor %}
FROM grouped
