-- What closed months say now, less what was closed, less what is booked already: what is still to be booked.
WITH live AS (
    SELECT m.* FROM (
{% include "books/monthly.sql" %}
    ) AS m
    JOIN core.closed_months AS c ON c.month = m.month
),
booked AS (
    SELECT
        closed_month AS month, source_name, billing_currency, feature, is_credit,
        {% for measure in measures %}
        -{{ measure }} AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM core.corrections
),
frozen AS (
    SELECT
        month, source_name, billing_currency, feature, is_credit,
        {% for measure in measures %}
        -{{ measure }} AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM core.closed_costs
),
differences AS (
    SELECT
        month, source_name, billing_currency, feature, is_credit,
        {% for measure in measures %}
        sum({{ measure }})::DECIMAL(38, 12) AS {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    FROM (SELECT * FROM live UNION ALL BY NAME SELECT * FROM booked UNION ALL BY NAME SELECT * FROM frozen)
    GROUP BY ALL
)
SELECT
    month AS closed_month,
    source_name,
    billing_currency,
    feature,
    is_credit,
    {# a rule moves dollars between features, and a bill that is restated changes their sum #}
    CASE
        WHEN sum(billed_cost) OVER in_source = 0 AND sum(effective_cost) OVER in_source = 0 AND list_contains($moved::DATE[], month)
            THEN 'rules'
        WHEN list_contains($moved::DATE[], month) THEN 'restatement and rules'
        ELSE 'restatement'
    END AS reason,
    {% for measure in measures %}
    {{ measure }}{{ "," if not loop.last }}
    {% endfor %}
FROM differences
WHERE {% for measure in measures %}{{ measure }} <> 0{{ " OR " if not loop.last }}{% endfor %}

WINDOW in_source AS (PARTITION BY month, source_name, billing_currency)
ORDER BY ALL
