{# Exact amounts from FLOAT64, whose own sums differ from run to run: NUMERIC keeps nine places, and what it
   cuts off is kept beside it as a whole number of 10^-12. Sums of both are exact. #}
{% macro nine(amount) %}CAST({{ amount }} AS NUMERIC){% endmacro %}
{% macro rest(amount) %}CAST(ROUND(({{ amount }} - CAST({{ amount }} AS NUMERIC)) * 1000000000000) AS INT64){% endmacro %}
