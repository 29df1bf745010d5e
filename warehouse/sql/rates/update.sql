{% from "rates/twins.sql" import twin, amounts %}
UPDATE core.charges AS c
SET
    {% for amount in amounts %}
    {{ amount }}_usd = {{ twin(amount) }}{{ "," if not loop.last }}
    {% endfor %}
FROM _rates AS r
WHERE r.currency = c.billing_currency AND r.charge_date = c.charge_date
    AND ({% for amount in amounts %}c.{{ amount }}_usd IS DISTINCT FROM {{ twin(amount) }}{{ " OR " if not loop.last }}{% endfor %})
