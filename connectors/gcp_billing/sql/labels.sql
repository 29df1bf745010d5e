{# All labels as one text, in a fixed order: equal labels make one group. #}
{% macro labels(families, allowed) %}
TO_JSON_STRING(ARRAY(
        SELECT AS STRUCT pair.key AS key, pair.value AS value
        FROM UNNEST(ARRAY_CONCAT(
            {% for family in families %}
            ARRAY(SELECT AS STRUCT {% if family.prefix %}CONCAT({{ family.prefix }}, l.{{ family.key }}){% else %}l.{{ family.key }}{% endif %} AS key, l.{{ family.value }} AS value FROM UNNEST(line.{{ family.field }}) AS l){{ "," if not loop.last }}
            {% endfor %}
        )) AS pair
        WHERE pair.key IS NOT NULL{{ " AND pair.key IN UNNEST(@tag_keys)" if allowed }}
        ORDER BY pair.key, pair.value
    ))
{%- endmacro %}
