-- How far each source has come: the newest day it speaks for, when it was last fetched, and what counts as settled.
--
-- Grain: one row per source_name that has ever delivered.
-- Units: days; UTC. days_behind compares the source's newest charge with the newest charge of any source; it is
--   null for telemetry, which has no charges. settled_through is null where the last run did not read the source.
-- Why a filter: superseded deliveries count for last_fetched_at and deliveries only.
-- Columns:
--   deliveries: deliveries ever loaded.
--   current_deliveries: deliveries whose rows stand.
--   last_fetched_at: when the newest delivery was fetched.
--   delivered_through: the last day a standing delivery speaks for.
--   last_charge_date: the newest day with a charge.
--   settled_through: the last day that counts as settled.
--   days_behind: days from last_charge_date to the newest charge of any source.
WITH deliveries AS (
    SELECT
        source_name,
        any_value(source_type ORDER BY loaded_at DESC) AS source_type,
        count(*) AS deliveries,
        count(*) FILTER (WHERE is_current) AS current_deliveries,
        max(fetched_at) AS last_fetched_at,
        max(loaded_at) AS last_loaded_at,
        (max(window_end) FILTER (WHERE is_current) - 1)::DATE AS delivered_through
    FROM ops.deliveries
    GROUP BY source_name
),
charges AS (
    SELECT source_name, min(charge_date) AS first_charge_date, max(charge_date) AS last_charge_date
    FROM core.charges
    GROUP BY source_name
)
SELECT
    d.source_name,
    d.source_type,
    d.deliveries,
    d.current_deliveries,
    d.last_fetched_at,
    d.last_loaded_at,
    d.delivered_through,
    c.first_charge_date,
    c.last_charge_date,
    s.settled_through,
    date_diff('day', c.last_charge_date, (SELECT max(last_charge_date) FROM charges)) AS days_behind
FROM deliveries AS d
LEFT JOIN charges AS c ON c.source_name = d.source_name
LEFT JOIN ops.settled AS s ON s.source_name = d.source_name
ORDER BY d.source_name
