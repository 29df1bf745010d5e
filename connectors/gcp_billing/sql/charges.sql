{% from "amounts.sql" import whole, rest %}
{% from "labels.sql" import labels %}
-- One partition of the standard or detailed export, added up per UTC day of use and everything else
-- that is kept. Credits are summed inside their row: a join with them would multiply the cost.
WITH charges AS (
    SELECT
        DATE(line.usage_start_time) AS charge_date,
        {% for column, field in texts.items() %}
        {{ "line." ~ field if field else "CAST(NULL AS STRING)" }} AS {{ column }},
        {% endfor %}
        {% if label_families %}
        {{ labels(label_families, has_tag_keys) }} AS labels,
        {% else %}
        '[]' AS labels,
        {% endif %}
        line.cost,
        (
            SELECT AS STRUCT
                SUM(part.whole) AS whole,
                SUM(part.rest) AS rest,
                SUM(IF(part.is_promotional, part.whole, 0)) AS promotional,
                SUM(IF(part.is_promotional, part.rest, 0)) AS promotional_rest,
                COUNTIF(part.is_promotional) AS promotional_count
            FROM (
                SELECT {{ whole("c.amount") }} AS whole, {{ rest("c.amount") }} AS rest, {{ promotional }} AS is_promotional
                FROM UNNEST(line.credits) AS c
            ) AS part
        ) AS credit,
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
    labels,
    IFNULL(SUM({{ whole("cost") }}), 0) AS gross_cost,
    IFNULL(SUM({{ rest("cost") }}), 0) AS gross_cost_rest,
    IFNULL(SUM(credit.whole - credit.promotional), 0) AS other_credits,
    IFNULL(SUM(credit.rest - credit.promotional_rest), 0) AS other_credits_rest,
    IFNULL(SUM(credit.promotional), 0) AS promotional_credits,
    IFNULL(SUM(credit.promotional_rest), 0) AS promotional_credits_rest,
    SUM(credit.promotional_count) AS promotional_credit_count,
    IF(COUNT(list_cost) = COUNT(*), SUM({{ whole("list_cost") }}), NULL) AS list_cost,
    SUM({{ rest("list_cost") }}) AS list_cost_rest,
    SUM({{ whole("quantity") }}) AS consumed_quantity,
    SUM({{ rest("quantity") }}) AS consumed_quantity_rest,
    COUNT(*) AS source_rows,
    COUNTIF(cost IS NULL) AS rows_without_cost
FROM charges
GROUP BY charge_date, {{ texts | join(", ") }}, labels
