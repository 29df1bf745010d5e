-- Every distinct combination of what the rules ask about; rules are tried once per row.
SELECT {{ "DISTINCT" if not with_costs }}
    {% for key in keys %}
    {{ key }},
    {% endfor %}
    {% if with_costs %}
    coalesce(sum(effective_cost_usd) FILTER (
        WHERE charge_category IS DISTINCT FROM 'Credit' AND charge_date > (SELECT max(charge_date) FROM core.charges) - {{ days }}
    ), 0)::DECIMAL(38, 12) AS _cost_usd,
    max(charge_date) AS _last_charge_date,
    count(*) AS _charges,
    {% endif %}
    {% include "allocate/epoch.sql" %} AS _epoch,
    {% include "allocate/pool.sql" %} AS _pool
FROM core.charges
{{ "GROUP BY ALL" if with_costs }}
