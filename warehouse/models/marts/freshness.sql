-- How far each source has come: the newest day it speaks for, when it was last fetched, and what counts as settled.
--
-- Grain: one row per source_name that has ever delivered.
-- Units: days; UTC. days_behind compares the source's newest charge with the newest charge of any source; it is
--   null for telemetry, which has no charges. settled_through is null where the last run did not read the source.
--   days_late compares data_through with the day of the run: a day counts as due once the source has had its
--   settle_days; it is null for a source that is no longer configured. `trendbreak status` counts to today instead.
-- Why a filter: superseded deliveries count for last_fetched_at and deliveries only.
-- Columns:
--   deliveries: deliveries ever loaded.
--   current_deliveries: deliveries whose rows stand.
--   last_fetched_at: when the newest delivery was fetched.
--   delivered_through: the last day a standing delivery speaks for.
--   last_charge_date: the newest day with a charge.
--   data_through: the newest day that the source has spoken for: an answer to a window speaks for all its days, an export
--     for days up to its newest charge of a day that was over, files of telemetry up to their newest call or outcome; null
--     where they hold none.
--   usual_pause_days: days without a call or outcome that telemetry is used to (weekends): its second longest pause of the
--     last 120 days, since what came once is not usual. 0 for bills.
--   settle_days: days after its end until the source counts a day as settled.
--   days_late: days from data_through, and the usual pause after it, to the newest day that was due when the run was made;
--     0 when it is in.
--   settled_through: the last day that counts as settled.
--   days_behind: days from last_charge_date to the newest charge of any source.
WITH deliveries AS (
    SELECT
        source_name,
        any_value(source_type ORDER BY loaded_at DESC, load_number DESC) AS source_type,
        count(*) AS deliveries,
        count(*) FILTER (WHERE is_current) AS current_deliveries,
        max(fetched_at) AS last_fetched_at,
        max(loaded_at) AS last_loaded_at,
        (max(window_end) FILTER (WHERE is_current) - 1)::DATE AS delivered_through,
        (max(window_end) FILTER (WHERE is_current AND replaces = 'window') - 1)::DATE AS answered_through
    FROM ops.deliveries
    GROUP BY source_name
),
charges AS (
    SELECT
        c.source_name,
        min(c.charge_date) AS first_charge_date,
        max(c.charge_date) AS last_charge_date,
        -- A charge of a day that is not over says nothing of the days before it.
        coalesce(max(c.charge_date) FILTER (WHERE o.as_of IS NULL OR c.charge_date < o.as_of), min(c.charge_date))
            AS last_past_charge_date
    FROM core.charges AS c
    LEFT JOIN ops.sources AS o ON o.source_name = c.source_name
    -- What a purchase is spread over says nothing of the days either.
    WHERE c.source_rows > 0
    GROUP BY c.source_name
),
told_days AS (
    SELECT source_name, make_timestamp(epoch_us(called_at))::DATE AS told_date FROM staging.stg_calls GROUP BY ALL
    UNION
    SELECT source_name, make_timestamp(epoch_us(outcome_at))::DATE FROM staging.stg_outcomes GROUP BY ALL
),
pauses AS (
    SELECT
        source_name,
        told_date,
        told_date - lag(told_date) OVER (PARTITION BY source_name ORDER BY told_date) - 1 AS pause_days
    FROM told_days
    QUALIFY told_date > max(told_date) OVER (PARTITION BY source_name) - 120
),
telemetry AS (
    SELECT
        s.source_name,
        max(p.told_date) AS last_told_date,
        coalesce(max(p.pause_days, 2)[2], 0)::INTEGER AS usual_pause_days
    FROM (SELECT DISTINCT source_name FROM staging.staged_deliveries) AS s
    LEFT JOIN pauses AS p ON p.source_name = s.source_name
    GROUP BY s.source_name
),
known AS (
    SELECT
        d.source_name,
        coalesce(t.usual_pause_days, 0) AS usual_pause_days,
        CASE
            WHEN c.source_name IS NOT NULL THEN greatest(c.last_past_charge_date, d.answered_through)
            -- Its files carry the window that was asked for, however old what they hold is. greatest() passes over null.
            WHEN t.source_name IS NOT NULL THEN greatest(t.last_told_date, d.answered_through)
            ELSE d.delivered_through
        END AS data_through
    FROM deliveries AS d
    LEFT JOIN charges AS c ON c.source_name = d.source_name
    LEFT JOIN telemetry AS t ON t.source_name = d.source_name
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
    date_diff('day', c.last_charge_date, (SELECT max(last_charge_date) FROM charges)) AS days_behind,
    k.data_through,
    k.usual_pause_days,
    o.settle_days,
    CASE
        WHEN o.settle_days IS NOT NULL AND k.data_through IS NOT NULL
            THEN greatest(0, date_diff('day', k.data_through, o.as_of - 1 - o.settle_days) - k.usual_pause_days)
    END AS days_late
FROM deliveries AS d
LEFT JOIN charges AS c ON c.source_name = d.source_name
LEFT JOIN known AS k ON k.source_name = d.source_name
LEFT JOIN ops.settled AS s ON s.source_name = d.source_name
LEFT JOIN ops.sources AS o ON o.source_name = d.source_name
ORDER BY d.source_name
