-- Every past daily total that the delivery changed. A day is past for an account and period when an
-- earlier delivery spoke for it: its window held the day, or its rows reached it. What is missing on
-- either side then counts as zero. What a purchase spreads over days (rows: 0) tells of none that it came, nor does
-- a row of a day to come.
INSERT INTO ops.restatements BY NAME
WITH new_days AS (
    SELECT billing_account_id, billing_period_start, charge_date, billing_currency, sum(effective_cost) AS effective_cost
    FROM staged_days
    GROUP BY ALL
),
before AS (
    SELECT
        billing_account_id,
        billing_period_start,
        charge_date,
        billing_currency,
        sum(effective_cost) AS effective_cost,
        sum(source_rows) AS source_rows
    FROM old_days
    GROUP BY ALL
),
compared AS (
    SELECT
        coalesce(b.billing_account_id, n.billing_account_id) AS billing_account_id,
        coalesce(b.billing_period_start, n.billing_period_start) AS billing_period_start,
        coalesce(b.charge_date, n.charge_date) AS charge_date,
        coalesce(b.billing_currency, n.billing_currency) AS billing_currency,
        coalesce(b.effective_cost, 0)::DECIMAL(38, 12) AS old_effective_cost,
        coalesce(n.effective_cost, 0)::DECIMAL(38, 12) AS new_effective_cost,
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
    billing_account_id,
    billing_period_start,
    charge_date,
    billing_currency,
    old_effective_cost,
    new_effective_cost,
    (new_effective_cost - old_effective_cost)::DECIMAL(38, 12) AS delta_effective_cost,
    $delivery_id AS delivery_id,
    $recorded_at AS recorded_at
FROM compared
WHERE old_effective_cost <> new_effective_cost
    AND (
        was_there
        {% if by == "window" %}
        OR EXISTS (
            SELECT 1 FROM ops.deliveries AS d
            WHERE d.source_name = $source_name
                AND d.replaces = 'window'
                AND compared.charge_date >= d.window_start
                AND compared.charge_date < d.window_end
        )
        {% else %}
        OR charge_date <= (
            SELECT max(charge_date) FROM old_days
            WHERE source_rows > 0 AND charge_date <= make_timestamp(epoch_us($recorded_at))::DATE
        )
        {% endif %}
    )
ORDER BY ALL
