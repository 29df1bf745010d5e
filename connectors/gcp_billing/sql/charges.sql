{% from "amounts.sql" import nine, rest %}
{% from "labels.sql" import text_of %}
-- One partition of the standard or detailed export, added up per UTC day of use and everything else
-- that is kept. Credits are summed inside their row: a join with them would multiply the cost.
WITH charges AS (
    SELECT
        DATE(line.usage_start_time) AS charge_date,
        {% for column, field in texts.items() %}
        {{ "line." ~ field if field else "CAST(NULL AS STRING)" }} AS {{ column }},
        {% endfor %}
        {% for label in labels %}
        {{ text_of(label) }} AS {{ label.column }},
        {% endfor %}
        line.cost,
        (
            SELECT AS STRUCT SUM({{ nine("c.amount") }}) AS nine, SUM({{ rest("c.amount") }}) AS rest
            FROM UNNEST(line.credits) AS c
            WHERE NOT IFNULL({{ promotional }}, FALSE)
        ) AS other,
        (
            SELECT AS STRUCT SUM({{ nine("c.amount") }}) AS nine, SUM({{ rest("c.amount") }}) AS rest, COUNT(*) AS credits
            FROM UNNEST(line.credits) AS c
            WHERE {{ promotional }}
        ) AS promotional,
        {{ "line." ~ list_cost if list_cost else "CAST(NULL AS FLOAT64)" }} AS list_cost,
        {{ "line." ~ quantity if quantity else "CAST(NULL AS FLOAT64)" }} AS quantity
    FROM {{ table }} AS line
    WHERE {{ condition }}
)
SELECT
    charge_date,
    {% for column in texts %}
    {{ column }},
    {% endfor %}
    {% for label in labels %}
    {{ label.column }},
    {% endfor %}
    IFNULL(SUM({{ nine("cost") }}), 0) AS gross_cost,
    IFNULL(SUM({{ rest("cost") }}), 0) AS gross_cost_rest,
    IFNULL(SUM(other.nine), 0) AS other_credits,
    IFNULL(SUM(other.rest), 0) AS other_credits_rest,
    IFNULL(SUM(promotional.nine), 0) AS promotional_credits,
    IFNULL(SUM(promotional.rest), 0) AS promotional_credits_rest,
    SUM(promotional.credits) AS promotional_credit_count,
    IF(COUNT(list_cost) = COUNT(*), SUM({{ nine("list_cost") }}), NULL) AS list_cost,
    SUM({{ rest("list_cost") }}) AS list_cost_rest,
    SUM({{ nine("quantity") }}) AS consumed_quantity,
    SUM({{ rest("quantity") }}) AS consumed_quantity_rest,
    COUNT(*) AS source_rows,
    COUNT(*) - COUNT(cost) AS rows_without_cost
FROM charges
GROUP BY charge_date, {{ texts | join(", ") }}, {{ labels | map(attribute="column") | join(", ") }}
