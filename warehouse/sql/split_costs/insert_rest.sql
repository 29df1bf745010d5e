{% from "rates/twins.sql" import twin with context %}
-- What no pod asked for stays with the node, and so does the digit that rounding left over.
INSERT INTO core.charge_amounts BY NAME
WITH given AS (
    SELECT
        row_number,
        {% for column in amounts + quantities %}
        sum({{ column }}) AS {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    FROM _parts
    GROUP BY row_number
),
rest AS (
    SELECT
        d.* EXCLUDE (row_number, node_cost) REPLACE (
            {% for column in amounts + quantities %}
            (d.{{ column }} - coalesce(g.{{ column }}, 0))::{{ "DECIMAL(38, 6)" if column == "tokens" else "DECIMAL(38, 12)" }} AS {{ column }}{{ "," if not loop.last }}
            {% endfor %}
        )
    FROM _divided AS d
    LEFT JOIN given AS g ON g.row_number = d.row_number
)
SELECT
    c.* EXCLUDE (billing_currency) REPLACE (
        {% for amount in amounts %}
        {{ twin("c." ~ amount) }} AS {{ amount }}_usd{{ "," if not loop.last }}
        {% endfor %}
    )
FROM rest AS c
LEFT JOIN day_rates AS r ON r.currency = c.billing_currency AND r.charge_date = c.charge_date
