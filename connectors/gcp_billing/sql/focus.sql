{% from "amounts.sql" import nine, rest %}
{% from "labels.sql" import text_of %}
-- One partition of the FOCUS export, added up per UTC day and everything else that the warehouse reads.
-- Google's costs are net of all credits; promotional ones become rows of category Credit, and what is
-- left is the cost before them. The sum stays the same.
WITH charges AS (
    SELECT
        DATE(line.ChargePeriodStart) AS charge_date,
        line.ChargePeriodStart AS charged_from,
        line.ChargePeriodEnd AS charged_until,
        line.BillingPeriodStart AS period_from,
        line.BillingPeriodEnd AS period_until,
        {% for column, field in texts.items() %}
        {{ field }} AS text_{{ column }},
        {% endfor %}
        {% for label in labels %}
        {{ text_of(label) }} AS {{ label.column }},
        {% endfor %}
        {% if promotional %}
        (
            SELECT AS STRUCT
                IFNULL(SUM({{ nine("c." ~ credit_amount) }}), 0) AS nine,
                IFNULL(SUM({{ rest("c." ~ credit_amount) }}), 0) AS rest,
                COUNT(*) AS credits
            FROM UNNEST(line.{{ credits }}) AS c
            WHERE {{ promotional }}
        ) AS promotional,
        {% endif %}
        {{ list_cost or "CAST(NULL AS NUMERIC)" }} AS list_cost,
        {{ quantity or "CAST(NULL AS NUMERIC)" }} AS quantity,
        {{ billed_cost }} AS billed_cost,
        {{ effective_cost }} AS effective_cost
    FROM {{ table }} AS line
    WHERE {{ condition }}
)
SELECT
    MIN(charged_from) AS ChargePeriodStart,
    MAX(charged_until) AS ChargePeriodEnd,
    period_from AS BillingPeriodStart,
    period_until AS BillingPeriodEnd,
    {% for column in texts %}
    {% if column == "ChargeCategory" %}
    {{ "IF(is_promotional, 'Credit', text_ChargeCategory)" if promotional else "text_ChargeCategory" }} AS ChargeCategory,
    {% else %}
    text_{{ column }} AS {{ column }},
    {% endif %}
    {% endfor %}
    {% for label in labels %}
    {{ label.column }},
    {% endfor %}
    {% for name, column in (("BilledCost", "billed_cost"), ("EffectiveCost", "effective_cost")) %}
    {% if promotional %}
    SUM(IF(is_promotional, promotional.nine, {{ nine(column) }} - promotional.nine)) AS {{ name }},
    SUM(IF(is_promotional, promotional.rest, {{ rest(column) }} - promotional.rest)) AS {{ name }}_rest,
    {% else %}
    SUM({{ nine(column) }}) AS {{ name }},
    SUM({{ rest(column) }}) AS {{ name }}_rest,
    {% endif %}
    {% endfor %}
    {% set own = "NOT is_promotional" if promotional else "TRUE" %}
    IF(COUNT(list_cost) = COUNT(*), SUM(IF({{ own }}, {{ nine("list_cost") }}, 0)), NULL) AS ListCost,
    SUM(IF({{ own }}, {{ rest("list_cost") }}, 0)) AS ListCost_rest,
    {% if quantity_name %}
    SUM(IF({{ own }}, {{ nine("quantity") }}, NULL)) AS {{ quantity_name }},
    SUM(IF({{ own }}, {{ rest("quantity") }}, NULL)) AS {{ quantity_name }}_rest,
    {% endif %}
    COUNT(*) AS source_rows
FROM charges
{% if promotional %}
CROSS JOIN UNNEST([FALSE, TRUE]) AS is_promotional
WHERE NOT is_promotional OR promotional.credits > 0
{% endif %}
GROUP BY charge_date, period_from, period_until, {% for column in texts %}text_{{ column }}, {% endfor %}{{ labels | map(attribute="column") | join(", ") }}{{ ", is_promotional" if promotional }}
