{# Exact amounts from FLOAT64, whose own sums differ from run to run: the whole units, and apart from them
   the rest as a count of 10^-12, to as many places as a double of this size can hold. #}
{% macro whole(amount) %}CAST(TRUNC({{ amount }}) AS NUMERIC){% endmacro %}
{% macro rest(amount) %}
CAST(CASE
    WHEN ABS({{ amount }}) < 4096 THEN ROUND(({{ amount }} - TRUNC({{ amount }})) * 1000000000000)
    WHEN ABS({{ amount }}) < 4096000 THEN 1000 * ROUND(({{ amount }} - TRUNC({{ amount }})) * 1000000000)
    ELSE 1000000 * ROUND(({{ amount }} - TRUNC({{ amount }})) * 1000000)
END AS NUMERIC)
{%- endmacro %}
