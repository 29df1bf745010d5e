-- core.charges against core.allocations, but for what a purchase is spread over in days to come.
{% set measures = ("billed_cost", "effective_cost", "list_cost", "billed_cost_usd", "effective_cost_usd", "list_cost_usd") %}
WITH expected AS (
    SELECT
        source_name, billing_currency, charge_date,
        {% for measure in measures %}
        sum({{ measure }}) AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM core.charges
    WHERE {% include "allocate/has_come.sql" %}
    GROUP BY ALL
),
actual AS (
    SELECT
        source_name, billing_currency, charge_date,
        {% for measure in measures %}
        sum({{ measure }}) AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM core.allocations
    GROUP BY ALL
),
{% include "build/compared.sql" %}
