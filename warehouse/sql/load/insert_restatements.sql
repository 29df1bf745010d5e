-- Every past daily total that the delivery changed. A day is past for an account and period when an
-- earlier delivery spoke for it: its window held the day, or its rows reached it. What is missing on
-- either side then counts as zero. What a purchase spreads over days (rows: 0) tells of none that it came, nor does
-- a row of a day to come.
-- Parts of one bill (partitions) each tell something of a day: its total is that of all parts, and it is past once an
-- earlier run knew it, or a later day of the period, when it was over.
INSERT INTO ops.restatements BY NAME
{% macro totals(relation) %}
    SELECT
        billing_account_id,
        billing_period_start,
        charge_date,
        billing_currency,
        sum(effective_cost) AS effective_cost,
        sum(billed_cost) AS billed_cost,
        sum(source_rows) AS source_rows
    FROM {{ relation }}
    GROUP BY ALL
{% endmacro %}
WITH new_days AS (
{{ totals("staged_days") }}),
before AS (
{{ totals("old_days") }}),
{% if by == "parts" %}
others AS (
{{ totals("ops.delivery_days WHERE source_name = $source_name AND is_current AND delivery_id <> $delivery_id") }}),
told AS (
    SELECT t.billing_account_id, t.billing_period_start, max(t.charge_date) AS through
    FROM ops.delivery_days AS t
    JOIN ops.deliveries AS d ON d.delivery_id = t.delivery_id AND d.load_number = t.load_number
    WHERE t.source_name = $source_name
        AND t.source_rows > 0
        AND d.loaded_at < $recorded_at
        AND t.charge_date < make_timestamp(epoch_us(d.loaded_at))::DATE
    GROUP BY ALL
),
{% endif %}
compared AS (
    SELECT
        coalesce(b.billing_account_id, n.billing_account_id) AS billing_account_id,
        coalesce(b.billing_period_start, n.billing_period_start) AS billing_period_start,
        coalesce(b.charge_date, n.charge_date) AS charge_date,
        coalesce(b.billing_currency, n.billing_currency) AS billing_currency,
        {% for cost in ("effective_cost", "billed_cost") %}
        coalesce(b.{{ cost }}, 0)::DECIMAL(38, 12) AS {{ cost }}_before,
        coalesce(n.{{ cost }}, 0)::DECIMAL(38, 12) AS {{ cost }}_after,
        {% endfor %}
        coalesce(b.source_rows, 0) > 0 AS was_there
    FROM before AS b
    FULL OUTER JOIN new_days AS n
        ON b.billing_account_id IS NOT DISTINCT FROM n.billing_account_id
        AND b.billing_period_start IS NOT DISTINCT FROM n.billing_period_start
        AND b.charge_date = n.charge_date
        AND b.billing_currency = n.billing_currency
)
SELECT
    $source_name AS source_name,
    c.billing_account_id,
    c.billing_period_start,
    c.charge_date,
    c.billing_currency,
    {% for cost in ("effective_cost", "billed_cost") %}
    {% set others = " + coalesce(o." ~ cost ~ ", 0)" if by == "parts" else "" %}
    (c.{{ cost }}_before{{ others }})::DECIMAL(38, 12) AS old_{{ cost }},
    (c.{{ cost }}_after{{ others }})::DECIMAL(38, 12) AS new_{{ cost }},
    (c.{{ cost }}_after - c.{{ cost }}_before)::DECIMAL(38, 12) AS delta_{{ cost }},
    {% endfor %}
    $delivery_id AS delivery_id,
    $recorded_at AS recorded_at
FROM compared AS c
{% if by == "parts" %}
LEFT JOIN others AS o
    ON o.billing_account_id IS NOT DISTINCT FROM c.billing_account_id
    AND o.billing_period_start IS NOT DISTINCT FROM c.billing_period_start
    AND o.charge_date = c.charge_date
    AND o.billing_currency = c.billing_currency
LEFT JOIN told AS t
    ON t.billing_account_id IS NOT DISTINCT FROM c.billing_account_id
    AND t.billing_period_start IS NOT DISTINCT FROM c.billing_period_start
{% endif %}
WHERE (c.effective_cost_before <> c.effective_cost_after OR c.billed_cost_before <> c.billed_cost_after)
{% if by == "parts" %}
    AND c.charge_date <= t.through
{% else %}
    AND (
        c.was_there
        {% if by == "window" %}
        OR EXISTS (
            SELECT 1 FROM ops.deliveries AS d
            WHERE d.source_name = $source_name
                AND d.replaces = 'window'
                AND c.charge_date >= d.window_start
                AND c.charge_date < d.window_end
        )
        {% else %}
        OR c.charge_date <= (
            SELECT max(charge_date) FROM old_days
            WHERE source_rows > 0 AND charge_date <= make_timestamp(epoch_us($recorded_at))::DATE
        )
        {% endif %}
    )
{% endif %}
ORDER BY ALL
