-- One pass over the delivery: daily sums per group, raw tags and resource. Keys are narrow (a number
-- stands for all dimensions), for the cost of a wide aggregate is its keys.
{% macro total(name, condition="") %}
{% set amount = "s." ~ name ~ ("_units" if name in units else "") %}
{% set kept = "CASE WHEN " ~ condition ~ " THEN " ~ amount ~ " END" if condition else amount %}
{% if name in units %}
(sum(({{ kept }})::BIGINT)::DECIMAL(26, 0) * '0.000000000001'::DECIMAL(12, 12))::DECIMAL(38, 12)
{%- else %}
sum({{ kept }})
{%- endif %}
{% endmacro %}
CREATE OR REPLACE TEMP TABLE staged_charges AS
SELECT
    s.charge_date,
    {% if has_gpu %}
    CASE WHEN n.resource_id IS NOT NULL THEN k.whole_group ELSE k.plain_group END AS charge_group,
    CASE WHEN k.is_ai OR n.resource_id IS NOT NULL THEN s.resource_id END AS resource_id,
    {{ total("consumed_quantity", "k.is_ai OR n.resource_id IS NOT NULL") }} AS consumed_quantity,
    {% elif has_ai %}
    k.plain_group AS charge_group,
    CASE WHEN k.is_ai THEN s.resource_id END AS resource_id,
    {{ total("consumed_quantity", "k.is_ai") }} AS consumed_quantity,
    {% else %}
    k.plain_group AS charge_group,
    NULL::VARCHAR AS resource_id,
    NULL::DECIMAL(38, 12) AS consumed_quantity,
    {% endif %}
    s.raw_tags,
    {{ total("billed_cost") }} AS billed_cost,
    {{ total("effective_cost") }} AS effective_cost,
    {# a sum that leaves out unknown amounts would pass for the whole #}
    {% if known.list_cost %}
    {{ total("list_cost") }} AS list_cost,
    {% else %}
    CASE WHEN count(s.list_cost) = count(*) THEN {{ total("list_cost") }} END AS list_cost,
    {% endif %}
    {# less than source_rows, and the load stops #}
    {% for column in ("billed_cost", "effective_cost") %}
    {% if not known[column] %}
    count(s.{{ column }}) AS {{ column }}_rows,
    {% endif %}
    {% endfor %}
    count(*) AS source_rows
FROM (
{{ scan }}
) AS s
JOIN group_keys AS k ON k.key_hash = hash({% for column in columns %}s.{{ column }}, {% endfor %}{{ salt }})
{% if has_gpu %}
LEFT JOIN gpu_days AS n ON n.resource_id = s.resource_id AND n.charge_date = s.charge_date
{% endif %}
GROUP BY ALL
