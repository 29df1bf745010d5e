{# the dollar twin of an amount, as the load makes it #}
{% macro twin(amount) -%}
CASE WHEN r.usd_per_unit = 1 THEN c.{{ amount }} ELSE (c.{{ amount }} * r.usd_per_unit)::DECIMAL(38, 12) END
{%- endmacro %}
{% set amounts = ("billed_cost", "effective_cost", "list_cost") %}
