SELECT *, {% include "load/span.sql" %} AS pattern_span
FROM (
{{ scan }}
) AS cast_rows
