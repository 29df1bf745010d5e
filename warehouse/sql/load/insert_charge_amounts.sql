{% from "rates/twins.sql" import twin, amounts with context %}
-- Staged sums → core.charge_amounts: tags in canonical form, in US dollars where the bill is in another currency.
INSERT INTO core.charge_amounts BY NAME
WITH staged AS (
    {% if collapse %}
    {# two raw tag texts of one meaning become one row #}
    SELECT
        s.charge_date,
        s.charge_group,
        s.resource_id,
        t.tags,
        sum(s.consumed_quantity) AS consumed_quantity,
        sum(s.billed_cost) AS billed_cost,
        sum(s.effective_cost) AS effective_cost,
        CASE WHEN count(s.list_cost) = count(*) THEN sum(s.list_cost) END AS list_cost,
        sum(s.source_rows)::BIGINT AS source_rows
    FROM staged_charges AS s
    LEFT JOIN canonical_tags AS t ON t.raw_tags = s.raw_tags
    GROUP BY ALL
    {% else %}
    SELECT s.*, {{ "t.tags" if has_tags else "NULL::VARCHAR AS tags" }}
    FROM staged_charges AS s
    {% if has_tags %}
    LEFT JOIN canonical_tags AS t ON t.raw_tags = s.raw_tags
    {% endif %}
    {% endif %}
)
SELECT
    s.charge_group + {{ first_group | int }} AS charge_group,
    s.charge_date,
    s.resource_id,
    s.tags,
    s.consumed_quantity,
    {# Quantities of credits, taxes and purchases are neither tokens nor hours that ran. #}
    CASE WHEN g.is_usage THEN (s.consumed_quantity * g.tokens_per_unit)::DECIMAL(38, 6) END AS tokens,
    CASE
        WHEN NOT g.is_usage THEN NULL
        WHEN g.gpu_hours_divisor = 1 THEN (s.consumed_quantity * g.gpu_hours_factor)::DECIMAL(38, 12)
        ELSE (s.consumed_quantity * g.gpu_hours_factor / g.gpu_hours_divisor)::DECIMAL(38, 12)
    END AS gpu_hours,
    s.billed_cost::DECIMAL(38, 12) AS billed_cost,
    s.effective_cost::DECIMAL(38, 12) AS effective_cost,
    s.list_cost::DECIMAL(38, 12) AS list_cost,
    {% if has_rates %}
    {% for amount in amounts %}
    {{ twin("s." ~ amount ~ "::DECIMAL(38, 12)") }} AS {{ amount }}_usd,
    {% endfor %}
    {% endif %}
    s.source_rows
FROM staged AS s
JOIN charge_groups AS g ON g.charge_group = s.charge_group
{% if has_rates %}
LEFT JOIN day_rates AS r ON r.currency = g.billing_currency AND r.charge_date = s.charge_date
{% endif %}
