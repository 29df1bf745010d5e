-- Every distinct combination of what the rules ask about; rules are tried once per row.
SELECT DISTINCT
    {% for key in keys %}
    {{ key }},
    {% endfor %}
    {% include "allocate/epoch.sql" %} AS _epoch,
    {% include "allocate/pool.sql" %} AS _pool
FROM core.charges
