{% from "rates/twins.sql" import twin, amounts with context %}
-- Per currency, the charges whose dollars are not what today's rates make of them; shadows too.
SELECT
    d.billing_currency,
    count(*),
    coalesce(sum(c.effective_cost_usd), 0)::DECIMAL(38, 12),
    coalesce(sum({{ twin("c.effective_cost") }}), 0)::DECIMAL(38, 12)
FROM core.charge_amounts AS c
JOIN core.charge_dimensions AS d ON d.charge_group = c.charge_group
JOIN _rates AS r ON r.currency = d.billing_currency AND r.charge_date = c.charge_date
WHERE {% for amount in amounts %}c.{{ amount }}_usd IS DISTINCT FROM {{ twin("c." ~ amount) }}{{ " OR " if not loop.last }}{% endfor %}

GROUP BY d.billing_currency
ORDER BY d.billing_currency
