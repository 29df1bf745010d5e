-- Each invoice's total beside the charges of its month, and what explains the difference.
--
-- Grain: one row per invoice: source_name, billing_account_id (empty: all accounts of the source) and month.
-- Units: billed cost in billing_currency. difference = invoice − charges = tax + credits + late + rounding + unexplained.
-- Which month: a charge belongs to the month of its billing period, without one to the month of its day.
-- tax, credits, late: an invoice may leave out what the charges hold: taxes, credits, and what the bill added after the
--   invoice had been recorded. Of these the combination is taken that explains the difference to within rounding, the
--   simplest where several do; where none does, all is unexplained: a guess would be no explanation.
-- rounding: up to a cent per service and account, half of it either way.
-- Columns:
--   month: first day of the billing month.
--   invoice_billed_cost: as recorded by `trendbreak invoice add`.
--   charged_billed_cost: the sum of the charges; zero where there are none.
--   difference: invoice_billed_cost − charged_billed_cost.
--   tax: part of the difference: minus the taxes among the charges, where the invoice leaves them out.
--   credits: likewise for credits.
--   late: likewise for what was loaded after the invoice had been recorded.
--   rounding: what is left, where rounding can make it.
--   unexplained: what is left otherwise.
--   is_explained: whether nothing is unexplained.
WITH charges AS (
    SELECT
        source_name,
        billing_account_id,
        service_name,
        charge_category,
        billing_currency,
        date_trunc('month', coalesce(billing_period_start, charge_date))::DATE AS month,
        billed_cost
    FROM core.charges
),
totals AS (
    SELECT
        i.source_name,
        i.billing_account_id,
        i.month,
        i.billing_currency,
        any_value(i.billed_cost) AS invoice_billed_cost,
        any_value(i.recorded_at) AS recorded_at,
        coalesce(sum(c.billed_cost), 0) AS charged_billed_cost,
        coalesce(sum(c.billed_cost) FILTER (WHERE c.charge_category = 'Tax'), 0) AS taxes,
        coalesce(sum(c.billed_cost) FILTER (WHERE c.charge_category = 'Credit'), 0) AS credits,
        count(DISTINCT (c.billing_account_id, c.service_name)) AS lines
    FROM core.invoices AS i
    LEFT JOIN charges AS c
        ON c.source_name = i.source_name
        AND c.month = i.month
        AND c.billing_currency = i.billing_currency
        AND (i.billing_account_id = '' OR c.billing_account_id = i.billing_account_id)
    GROUP BY ALL
),
known_then AS (
    SELECT
        t.source_name,
        t.billing_account_id,
        t.month,
        t.billing_currency,
        coalesce(sum(d.billed_cost), 0) AS billed_cost
    FROM totals AS t
    LEFT JOIN (
        SELECT y.*, l.loaded_at
        FROM ops.delivery_days AS y
        JOIN ops.deliveries AS l ON l.delivery_id = y.delivery_id AND l.load_number = y.load_number
    ) AS d
        ON d.source_name = t.source_name
        AND date_trunc('month', coalesce(d.billing_period_start, d.charge_date))::DATE = t.month
        AND d.billing_currency = t.billing_currency
        AND (t.billing_account_id = '' OR d.billing_account_id = t.billing_account_id)
        AND d.loaded_at <= t.recorded_at
        AND (d.is_current OR d.superseded_at > t.recorded_at)
    GROUP BY ALL
),
parts AS (
    SELECT
        t.*,
        t.invoice_billed_cost - t.charged_billed_cost AS difference,
        -- Nothing known at that time: the bill came after its invoice, and is not late.
        CASE WHEN k.billed_cost <> 0 THEN t.charged_billed_cost - k.billed_cost ELSE 0 END AS late,
        (t.lines * 0.005)::DECIMAL(38, 12) AS tolerance
    FROM totals AS t
    JOIN known_then AS k
        ON k.source_name = t.source_name AND k.billing_account_id = t.billing_account_id
        AND k.month = t.month AND k.billing_currency = t.billing_currency
),
tried AS (
    SELECT
        p.*,
        w.left_out,
        CASE WHEN w.tax THEN -p.taxes ELSE 0 END AS part_tax,
        CASE WHEN w.credit THEN -p.credits ELSE 0 END AS part_credits,
        CASE WHEN w.late THEN -p.late ELSE 0 END AS part_late
    FROM parts AS p
    CROSS JOIN (
        SELECT t.tax, c.credit, l.late, t.tax::INT + c.credit::INT + l.late::INT AS left_out
        FROM (VALUES (TRUE), (FALSE)) AS t(tax)
        CROSS JOIN (VALUES (TRUE), (FALSE)) AS c(credit)
        CROSS JOIN (VALUES (TRUE), (FALSE)) AS l(late)
    ) AS w
),
fitting AS (
    SELECT *, difference - part_tax - part_credits - part_late AS rest
    FROM tried
    WHERE abs(difference - part_tax - part_credits - part_late) <= tolerance OR left_out = 0
    QUALIFY row_number() OVER (
        PARTITION BY source_name, billing_account_id, month, billing_currency
        ORDER BY abs(difference - part_tax - part_credits - part_late) > tolerance, left_out,
            abs(difference - part_tax - part_credits - part_late), part_tax, part_credits
    ) = 1
)
SELECT
    source_name,
    billing_account_id,
    month,
    billing_currency,
    invoice_billed_cost::DECIMAL(38, 12) AS invoice_billed_cost,
    charged_billed_cost::DECIMAL(38, 12) AS charged_billed_cost,
    difference::DECIMAL(38, 12) AS difference,
    part_tax::DECIMAL(38, 12) AS tax,
    part_credits::DECIMAL(38, 12) AS credits,
    part_late::DECIMAL(38, 12) AS late,
    CASE WHEN abs(rest) <= tolerance THEN rest ELSE 0 END::DECIMAL(38, 12) AS rounding,
    CASE WHEN abs(rest) <= tolerance THEN 0 ELSE rest END::DECIMAL(38, 12) AS unexplained,
    abs(rest) <= tolerance AS is_explained
FROM fitting
ORDER BY source_name, billing_account_id, month
