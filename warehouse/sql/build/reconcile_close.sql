-- core.allocations of closed months against what was closed and what was booked of it since; charge_date is the month.
{% set measures = ("billed_cost", "effective_cost", "list_cost", "billed_cost_usd", "effective_cost_usd", "list_cost_usd") %}
WITH expected AS (
    SELECT
        source_name, billing_currency, date_trunc('month', charge_date)::DATE AS charge_date,
        {% for measure in measures %}
        coalesce(sum({{ measure }}), 0) AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM core.allocations
    WHERE date_trunc('month', charge_date)::DATE IN (SELECT month FROM core.closed_months)
    GROUP BY ALL
),
actual AS (
    SELECT
        source_name, billing_currency, charge_date,
        {% for measure in measures %}
        sum({{ measure }}) AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM (
        SELECT * RENAME (month AS charge_date) FROM core.closed_costs
        UNION ALL BY NAME
        SELECT * EXCLUDE (booked_month, recorded_at, reason) RENAME (closed_month AS charge_date) FROM core.corrections
    )
    GROUP BY ALL
),
{% include "build/compared.sql" %}
