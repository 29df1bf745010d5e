-- The distinct combinations of everything a charge says but its day, tags, resource and amounts: a few
-- thousand, whatever the number of rows. What they mean is worked out here and not row by row.
CREATE OR REPLACE TEMP TABLE seen_dimensions AS
SELECT
    {% for column in dimensions %}
    {{ column }},
    {% endfor %}
    pattern_span,
    count(*) AS source_rows
FROM (
{{ scan }}
) AS scanned
GROUP BY ALL
