-- Per billing source: the days that its windows speak for, and how often it charges (the last 120 days to its newest).
-- A charge of a day that is not over says nothing of the days before it, and is left out where there are others.
-- longest_pause: days without a charge between two days with one; the second longest, for what was seen once is no habit.
WITH days AS (
    SELECT DISTINCT source_name, charge_date
    FROM core.charges
    WHERE source_rows > 0 AND (effective_cost <> 0 OR billed_cost <> 0 OR effective_cost IS NULL)
    QUALIFY charge_date < $as_of OR charge_date = min(charge_date) OVER (PARTITION BY source_name)
),
paused AS (
    SELECT
        source_name,
        charge_date,
        charge_date - lag(charge_date) OVER (PARTITION BY source_name ORDER BY charge_date) - 1 AS pause_days
    FROM days
    QUALIFY charge_date > max(charge_date) OVER (PARTITION BY source_name) - 120
),
windows AS (
    SELECT source_name, min(window_start) AS first_window, max(window_end) AS last_window
    FROM ops.deliveries
    WHERE replaces = 'window' AND is_current
    GROUP BY source_name
)
SELECT
    p.source_name,
    any_value(w.first_window),
    any_value(w.last_window),
    max(p.charge_date),
    count(*)::INTEGER,
    (max(p.charge_date) - min(p.charge_date) + 1)::INTEGER,
    coalesce(max(p.pause_days, 2)[2], 0)::INTEGER
FROM paused AS p
LEFT JOIN windows AS w ON w.source_name = p.source_name
GROUP BY p.source_name
ORDER BY p.source_name
