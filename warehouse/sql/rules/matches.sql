-- Charges by the set of rules that match them and by what takes them: dollars of the last days before credits.
SELECT
    {% for _ in words %}
    _w{{ loop.index0 }},
    {% endfor %}
    _taken,
    {% include "rules/cost_usd.sql" %} AS cost_usd,
    max(charge_date) AS last_charge_date,
    count(*) AS charges
FROM (
    {% include "allocate/taken.sql" %}
)
GROUP BY ALL
