-- Control totals of the deliveries that speak, against core.charges.
WITH expected AS (
    SELECT
        source_name, billing_currency, charge_date,
        sum(source_rows)::DECIMAL(38, 12) AS source_rows,
        sum(billed_cost) AS billed_cost,
        sum(effective_cost) AS effective_cost,
        sum(list_cost) AS list_cost
    FROM ops.delivery_days
    WHERE is_current AND role IS NULL
    GROUP BY ALL
),
actual AS (
    SELECT
        source_name, billing_currency, charge_date,
        sum(source_rows)::DECIMAL(38, 12) AS source_rows,
        sum(billed_cost) AS billed_cost,
        sum(effective_cost) AS effective_cost,
        sum(list_cost) AS list_cost
    FROM core.charges
    GROUP BY ALL
),
{# a day's list cost is compared where both know it: core may know it for finer groups #}
{% set measures = ("source_rows", "billed_cost", "effective_cost") %}
{% include "build/compared.sql" %}
