-- Prepaid credits and commitments to spend: what is used, what is left, and until when it lasts at this pace.
--
-- Grain: one row per commitment of trendbreak.yml.
-- Units: US dollars, effective cost before credits; days.
-- What uses it up: the charges of its source (and of its provider, where it names one) from valid_from to valid_to, taxes
--   left out. The pace is that of the source's last 28 days with data within that span, or of all of them where there are
--   fewer; days_left counts from the newest of these days, and is null while nothing is used.
-- Columns:
--   granted_usd: what was paid or promised.
--   used_usd: what the charges have used of it, at most all.
--   left_usd: granted − used.
--   over_usd: what was spent beyond it.
--   pace_usd_per_day: mean of the last 28 days.
--   days_left: left_usd ÷ pace, rounded down.
--   runs_out_on: the day after which nothing is left, at this pace; null where valid_to comes first.
--   unused_at_end_usd: what will be left on valid_to at this pace: prepaid credits lapse, a commitment is billed anyway.
--   data_through: the newest day with a charge that counts.
WITH counted AS (
    SELECT
        c.commitment,
        k.charge_date,
        sum(k.effective_cost_usd) AS cost_usd
    FROM core.commitments AS c
    JOIN core.charges AS k
        ON k.source_name = c.source_name
        AND (c.provider IS NULL OR k.provider = c.provider)
        AND k.charge_date >= c.valid_from
        AND (c.valid_to IS NULL OR k.charge_date <= c.valid_to)
    WHERE coalesce(k.charge_category, 'Usage') NOT IN ('Credit', 'Tax') AND k.effective_cost_usd IS NOT NULL
        AND k.charge_date <= (SELECT max(charge_date) FROM core.allocations)
    GROUP BY ALL
),
spent AS (
    SELECT
        commitment,
        sum(cost_usd) AS spent_usd,
        min(charge_date) AS first_charge_date,
        max(charge_date) AS data_through
    FROM counted
    GROUP BY commitment
),
paced AS (
    SELECT
        s.commitment,
        (
            sum(n.cost_usd) / least(28, date_diff('day', any_value(s.first_charge_date), any_value(s.data_through)) + 1)
        )::DECIMAL(38, 12) AS pace_usd
    FROM spent AS s
    JOIN counted AS n ON n.commitment = s.commitment AND n.charge_date > s.data_through - 28
    GROUP BY s.commitment
),
used AS (
    SELECT
        c.*,
        coalesce(s.spent_usd, 0) AS spent_usd,
        greatest(0, least(coalesce(s.spent_usd, 0), c.granted_usd)) AS used_usd,
        s.data_through,
        p.pace_usd
    FROM core.commitments AS c
    LEFT JOIN spent AS s ON s.commitment = c.commitment
    LEFT JOIN paced AS p ON p.commitment = c.commitment
),
lasting AS (
    SELECT
        *,
        CASE WHEN pace_usd > 0 THEN least(floor((granted_usd - used_usd) / pace_usd), 36500)::BIGINT END AS days_left
    FROM used
)
SELECT
    commitment,
    source_name,
    kind,
    valid_from,
    valid_to,
    granted_usd,
    used_usd::DECIMAL(38, 12) AS used_usd,
    (granted_usd - used_usd)::DECIMAL(38, 12) AS left_usd,
    greatest(0, spent_usd - granted_usd)::DECIMAL(38, 12) AS over_usd,
    pace_usd AS pace_usd_per_day,
    days_left,
    CASE
        WHEN valid_to IS NULL OR data_through + days_left::INTEGER < valid_to THEN data_through + days_left::INTEGER
    END AS runs_out_on,
    CASE WHEN valid_to IS NOT NULL THEN
        greatest(0, granted_usd - used_usd - coalesce(pace_usd * greatest(0, date_diff('day', data_through, valid_to)), 0))
    END::DECIMAL(38, 12) AS unused_at_end_usd,
    data_through
FROM lasting
ORDER BY commitment
