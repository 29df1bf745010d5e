-- How much of each day's AI spend has an owner: dollars that came to features, to shared pools, and to nobody; and,
-- apart, what is not AI at all.
--
-- Grain: one row per source_name and charge_date.
-- Calendar: days on which the source has a charge; absence is zero dollars.
-- Units: US dollars, effective cost before credits; amounts unknown in US dollars are counted in
--   unknown_rows and left out. tagged_share is tagged ÷ (tagged + unallocated), so that shared pools and what is not AI move it neither way;
--   null on a day with neither. ai_tagged_share is the same over AI charges only.
-- unallocated_by_split_usd is the part of unallocated that a split could not give away: what telemetry did not cover.
-- Columns:
--   charge_date: UTC day.
--   tagged_usd: came to a feature.
--   shared_usd: tax, support, unused commitments and other shared pools.
--   not_ai_usd: no rule takes it, and it is not AI: the rest of a cloud's bill.
--   unallocated_usd: AI spend that came to nobody.
--   unallocated_by_split_usd: of these, what a split could not give away.
--   tagged_share: tagged_usd ÷ (tagged_usd + unallocated_usd).
--   unknown_rows: allocations without an amount in US dollars.
WITH charges AS (
    SELECT
        source_name,
        charge_date,
        CASE
            WHEN feature = 'unallocated' THEN 'unallocated'
            WHEN feature = 'shared: not AI' THEN 'not_ai'
            WHEN starts_with(feature, 'shared: ') THEN 'shared'
            ELSE 'tagged'
        END AS owner,
        ai_kind <> 'other' AS is_ai,
        is_allocated,
        effective_cost_usd
    FROM core.allocations
    WHERE charge_category IS DISTINCT FROM 'Credit'
),
daily AS (
    SELECT
        source_name,
        charge_date,
        coalesce(sum(effective_cost_usd), 0) AS effective_cost_before_credits_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE owner = 'tagged'), 0) AS tagged_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE owner = 'shared'), 0) AS shared_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE owner = 'not_ai'), 0) AS not_ai_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE owner = 'unallocated'), 0) AS unallocated_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE owner = 'unallocated' AND is_allocated), 0)
            AS unallocated_by_split_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE owner = 'tagged' AND is_ai), 0) AS ai_tagged_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE owner = 'unallocated' AND is_ai), 0) AS ai_unallocated_usd,
        count(*) FILTER (WHERE effective_cost_usd IS NULL) AS unknown_rows
    FROM charges
    GROUP BY source_name, charge_date
)
SELECT
    charge_date,
    source_name,
    effective_cost_before_credits_usd::DECIMAL(38, 12) AS effective_cost_before_credits_usd,
    tagged_usd::DECIMAL(38, 12) AS tagged_usd,
    shared_usd::DECIMAL(38, 12) AS shared_usd,
    not_ai_usd::DECIMAL(38, 12) AS not_ai_usd,
    unallocated_usd::DECIMAL(38, 12) AS unallocated_usd,
    unallocated_by_split_usd::DECIMAL(38, 12) AS unallocated_by_split_usd,
    round(tagged_usd / nullif(tagged_usd + unallocated_usd, 0), 6) AS tagged_share,
    ai_tagged_usd::DECIMAL(38, 12) AS ai_tagged_usd,
    ai_unallocated_usd::DECIMAL(38, 12) AS ai_unallocated_usd,
    round(ai_tagged_usd / nullif(ai_tagged_usd + ai_unallocated_usd, 0), 6) AS ai_tagged_share,
    unknown_rows
FROM daily
ORDER BY charge_date, source_name
