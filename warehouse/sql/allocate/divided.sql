-- What splits have to divide.
CREATE OR REPLACE TEMP TABLE _divided AS
WITH grouped AS (
    {% include "allocate/grouped.sql" %}
)
SELECT row_number() OVER () AS _group, * FROM grouped
