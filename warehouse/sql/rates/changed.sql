{% from "rates/twins.sql" import twin, amounts %}
-- Per currency, the charges whose dollars are not what today's rates make of them.
SELECT
    c.billing_currency,
    count(*),
    coalesce(sum(c.effective_cost_usd), 0)::DECIMAL(38, 12),
    coalesce(sum({{ twin("effective_cost") }}), 0)::DECIMAL(38, 12)
FROM core.charges AS c
JOIN _rates AS r ON r.currency = c.billing_currency AND r.charge_date = c.charge_date
WHERE {% for amount in amounts %}c.{{ amount }}_usd IS DISTINCT FROM {{ twin(amount) }}{{ " OR " if not loop.last }}{% endfor %}

GROUP BY c.billing_currency
ORDER BY c.billing_currency
