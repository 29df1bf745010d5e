compared AS (
    {% for measure in measures %}
    SELECT
        coalesce(e.source_name, a.source_name) AS source_name,
        coalesce(e.billing_currency, a.billing_currency) AS billing_currency,
        coalesce(e.charge_date, a.charge_date) AS charge_date,
        '{{ "rows" if measure == "source_rows" else measure }}' AS measure,
        {# a calendar's empty day holds zero, and a day without charges holds nothing #}
        e.{{ measure }}::DECIMAL(38, 12) AS expected,
        CASE WHEN e.charge_date IS NULL THEN nullif(a.{{ measure }}, 0) ELSE a.{{ measure }} END::DECIMAL(38, 12) AS actual
    FROM expected AS e
    FULL OUTER JOIN actual AS a
        ON a.source_name IS NOT DISTINCT FROM e.source_name
        AND a.billing_currency IS NOT DISTINCT FROM e.billing_currency
        AND a.charge_date = e.charge_date
    {{ "UNION ALL" if not loop.last }}
    {% endfor %}
)
{% if grain == "day" %}
SELECT source_name, billing_currency, charge_date, measure, expected, actual
FROM compared
WHERE expected IS DISTINCT FROM actual
ORDER BY ALL
LIMIT 1
{% else %}
SELECT source_name, billing_currency, NULL::DATE AS charge_date, measure, sum(expected)::DECIMAL(38, 12), sum(actual)::DECIMAL(38, 12)
FROM compared
GROUP BY ALL
ORDER BY ALL
{% endif %}
