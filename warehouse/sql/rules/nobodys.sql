-- What nobody takes, by what a rule could ask for.
SELECT {{ columns | join(", ") }}, {% include "rules/cost_usd.sql" %} AS cost_usd
FROM (
    {% include "allocate/taken.sql" %}
)
WHERE _taken = -1
GROUP BY {{ columns | join(", ") }}
