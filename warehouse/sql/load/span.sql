{# which span of days between two dates at which patterns begin or end #}
{% if boundaries %}
CASE {% for day in boundaries %}WHEN charge_date < {{ day | literal }}::DATE THEN {{ loop.index0 }} {% endfor %}ELSE {{ boundaries | length }} END
{% else %}
0
{% endif %}
