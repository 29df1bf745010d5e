CREATE OR REPLACE TEMP TABLE _splits AS
SELECT charge_date, resource_id, raw_tags, sum(split_cost)::DECIMAL(38, 12) AS split_cost
FROM (
{% for select in selects %}
{{ select }}
{{ "UNION ALL BY NAME" if not loop.last }}
{% endfor %}
)
WHERE resource_id IS NOT NULL AND split_cost > 0
GROUP BY ALL
