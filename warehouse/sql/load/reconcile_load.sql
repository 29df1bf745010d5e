-- Where core.charges does not add up to what the scan of the source added up to; no row when it does.
WITH source AS (
    SELECT
        charge_date,
        billing_currency,
        sum(source_rows) AS source_rows,
        sum(billed_cost) AS billed_cost,
        sum(effective_cost) AS effective_cost,
        sum(list_cost) AS list_cost
    FROM staged_days
    GROUP BY ALL
),
core_rows AS (
    SELECT
        charge_date,
        billing_currency,
        sum(source_rows) AS source_rows,
        sum(billed_cost) AS billed_cost,
        sum(effective_cost) AS effective_cost,
        sum(list_cost) AS list_cost
    FROM core.charges
    WHERE delivery_id = $delivery_id
    GROUP BY ALL
),
measures AS (
    {% for measure in ("source_rows", "billed_cost", "effective_cost") %}
    SELECT
        charge_date,
        billing_currency,
        '{{ measure }}' AS measure,
        s.{{ measure }}::DECIMAL(38, 12) AS expected,
        c.{{ measure }}::DECIMAL(38, 12) AS actual
    FROM source AS s
    FULL OUTER JOIN core_rows AS c USING (charge_date, billing_currency)
    {{ "UNION ALL" if not loop.last }}
    {% endfor %}
)
SELECT charge_date, billing_currency, measure, expected, actual
FROM measures
WHERE expected IS DISTINCT FROM actual
ORDER BY ALL
LIMIT 1
