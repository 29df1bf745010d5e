-- The distinct combinations of everything a charge says but its day, tags, resource and amounts: a few
-- thousand, whatever the number of rows. What they mean is worked out here and not row by row.
-- Dimensions that are the same in every row are put beside them afterwards: as keys they would cost
-- as much as the others.
CREATE OR REPLACE TEMP TABLE seen_dimensions AS
SELECT varying.*{% for column in constant %}, constant.{{ column }}{% endfor %}

FROM (
    SELECT {% for column in varying %}{{ column }}, {% endfor %}count(*) AS source_rows
    FROM (
{{ scan }}
    ) AS scanned
    GROUP BY ALL
) AS varying
{% if constant %}
CROSS JOIN (
    SELECT {% for column in constant %}{{ column }}{{ ", " if not loop.last }}{% endfor %}

    FROM (
{{ scan }}
    ) AS scanned
    LIMIT 1
) AS constant
{% endif %}
