{# An amount in US dollars by the rate r of its currency; null where it is in US dollars already. Imported with context. #}
{% macro twin(amount) -%}
CASE WHEN r.currency <> {{ reporting | literal }} THEN ({{ amount }} * r.usd_per_unit)::DECIMAL(38, 12) END
{%- endmacro %}
{% set amounts = ("billed_cost", "effective_cost", "list_cost") %}
