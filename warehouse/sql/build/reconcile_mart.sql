-- core.allocations against marts.feature_cost_daily, on days whose total is known there: a day with an
-- amount that has no rate has no total.
{% set measures = ("billed_cost_usd", "effective_cost_usd", "list_cost_usd") %}
WITH expected AS (
    SELECT
        NULL::VARCHAR AS source_name, NULL::VARCHAR AS billing_currency, charge_date,
        {% for measure in measures %}
        CASE WHEN count(*) = count({{ measure }}) THEN sum({{ measure }}) END AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM core.allocations
    GROUP BY ALL
),
actual AS (
    SELECT
        NULL::VARCHAR AS source_name, NULL::VARCHAR AS billing_currency, charge_date,
        {% for measure in measures %}
        CASE WHEN count(*) = count({{ measure }}) THEN sum({{ measure }}) END AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM marts.feature_cost_daily
    GROUP BY ALL
),
{% include "build/compared.sql" %}
