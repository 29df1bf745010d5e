{% from "rates/twins.sql" import twin, amounts with context %}
UPDATE core.charge_amounts AS c
SET
    {% for amount in amounts %}
    {{ amount }}_usd = {{ twin("c." ~ amount) }}{{ "," if not loop.last }}
    {% endfor %}
FROM core.charge_dimensions AS d
JOIN _rates AS r ON r.currency = d.billing_currency
WHERE d.charge_group = c.charge_group AND r.charge_date = c.charge_date
    AND ({% for amount in amounts %}c.{{ amount }}_usd IS DISTINCT FROM {{ twin("c." ~ amount) }}{{ " OR " if not loop.last }}{% endfor %})
