{# Labels as one text, in a fixed order: equal labels make one group. #}
{% macro text_of(label) %}
{% if not label.key %}
{{ label.field }}
{%- else %}
TO_JSON_STRING(ARRAY(SELECT AS STRUCT l.{{ label.key }} AS key, l.{{ label.value }} AS value{{ ", l." ~ label.kind ~ " AS kind" if label.kind }} FROM UNNEST(line.{{ label.field }}) AS l{{ " WHERE l." ~ label.key ~ " IN UNNEST(@" ~ label.column ~ "_keys)" if label.allowed is not none }} ORDER BY l.{{ label.key }}, l.{{ label.value }}))
{%- endif %}
{% endmacro %}
