-- After how many days a day of use is written, measured: a source's deliveries each hold what was written on one day.
-- Per day of use the first day after it by which $share of its cost was there; of these the $of_days quantile. Null
-- where fewer than $least_days days can be told, and where every charge lies in the delivery of its own day: then
-- the export is cut by days of use and does not tell.
WITH
written AS (
    SELECT d.charge_date, date_diff('day', d.charge_date, p.window_start) AS lag_days, p.window_start, d.billed_cost
    FROM ops.delivery_days AS d
    JOIN ops.deliveries AS p
        ON p.delivery_id = d.delivery_id AND p.source_name = d.source_name AND p.scope = d.scope AND p.is_current
    WHERE d.source_name = $source_name AND d.is_current AND p.replaces = 'scope'
      AND date_diff('day', p.window_start, p.window_end) = 1
),
-- What was used before the export was switched on was written on the day it was.
since AS (
    SELECT greatest(min(window_start), $as_of::DATE - $looked_back) AS first_day
    FROM written
),
by_lag AS (
    SELECT w.charge_date, greatest(w.lag_days, 0) AS lag_days, sum(abs(w.billed_cost)) AS amount
    FROM written AS w
    CROSS JOIN since AS s
    WHERE w.charge_date > s.first_day AND w.charge_date < $as_of::DATE - $longest_lag
    GROUP BY ALL
),
so_far AS (
    SELECT
        charge_date,
        lag_days,
        sum(amount) OVER (PARTITION BY charge_date ORDER BY lag_days) AS arrived,
        sum(amount) OVER (PARTITION BY charge_date) AS whole
    FROM by_lag
),
by_day AS (
    SELECT charge_date, min(lag_days) FILTER (WHERE arrived >= whole * $share) AS lag_days, max(lag_days) AS last_lag
    FROM so_far
    WHERE whole > 0
    GROUP BY charge_date
)
SELECT CASE
    WHEN count(*) >= $least_days AND max(last_lag) > 0
    THEN least(greatest(quantile_disc(lag_days, $of_days), 1), $longest_lag)
END::INTEGER
FROM by_day
