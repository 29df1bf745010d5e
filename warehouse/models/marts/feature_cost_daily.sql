-- What each feature costs on each day: the series that forecasts, budgets and alerts read.
--
-- Grain: one row per feature and charge_date.
-- Calendar: complete from the feature's first day with a charge to the last day with a charge of anyone.
--   A day without a charge is zero, not unknown; while is_settled is false it may still fill.
-- Units: US dollars. Unknown is null: a day with a charge that has no amount in US dollars has no total.
-- Why a filter: effective_cost_before_credits_usd leaves out charges of category Credit, which would hide
--   a rise for as long as they last; budgets, forecasts and alerts use it.
-- Columns:
--   charge_date: UTC day.
--   feature: a feature of features.yml, `unallocated` for what no rule takes, or a shared pool (`shared: tax`, …).
--   billed_cost_usd: as invoiced; an upfront purchase stands on its day.
--   effective_cost_usd: amortised, credits included.
--   list_cost_usd: at list prices; null on days with a charge whose list price is not known.
--   effective_cost_before_credits_usd: amortised, credits left out: what budgets, forecasts and alerts use.
--   basis: reported (the provider's bill) or estimated (tokens × price, until the bill is there).
--   is_allocated: whether any of it came by a split.
--   is_settled: whether the day is final as far as the feature's sources promise (core.feature_settled).
WITH daily AS (
    SELECT
        feature,
        charge_date,
        CASE WHEN count(*) = count(billed_cost_usd) THEN sum(billed_cost_usd) END AS billed_cost_usd,
        CASE WHEN count(*) = count(effective_cost_usd) THEN sum(effective_cost_usd) END AS effective_cost_usd,
        CASE WHEN count(*) = count(list_cost_usd) THEN sum(list_cost_usd) END AS list_cost_usd,
        CASE WHEN count(*) = count(effective_cost_usd) THEN
            coalesce(sum(effective_cost_usd) FILTER (WHERE charge_category IS DISTINCT FROM 'Credit'), 0)
        END AS effective_cost_before_credits_usd,
        bool_or(basis = 'estimated') AS has_estimates,
        bool_or(is_allocated) AS is_allocated
    FROM core.allocations
    GROUP BY feature, charge_date
),
last_day AS (
    SELECT max(charge_date) AS charge_date FROM core.allocations
),
calendar AS (
    SELECT
        first.feature,
        unnest(generate_series(first.charge_date, last_day.charge_date, INTERVAL 1 DAY))::DATE AS charge_date
    FROM (SELECT feature, min(charge_date) AS charge_date FROM daily GROUP BY feature) AS first
    CROSS JOIN last_day
)
SELECT
    c.charge_date,
    c.feature,
    CASE WHEN d.feature IS NULL THEN 0 ELSE d.billed_cost_usd END::DECIMAL(38, 12) AS billed_cost_usd,
    CASE WHEN d.feature IS NULL THEN 0 ELSE d.effective_cost_usd END::DECIMAL(38, 12) AS effective_cost_usd,
    CASE WHEN d.feature IS NULL THEN 0 ELSE d.list_cost_usd END::DECIMAL(38, 12) AS list_cost_usd,
    CASE WHEN d.feature IS NULL THEN 0 ELSE d.effective_cost_before_credits_usd END::DECIMAL(38, 12)
        AS effective_cost_before_credits_usd,
    CASE WHEN d.has_estimates THEN 'estimated' ELSE 'reported' END AS basis,
    coalesce(d.is_allocated, FALSE) AS is_allocated,
    s.settled_through IS NULL OR c.charge_date <= s.settled_through AS is_settled
FROM calendar AS c
LEFT JOIN daily AS d ON d.feature = c.feature AND d.charge_date = c.charge_date
LEFT JOIN core.feature_settled AS s ON s.feature = c.feature
ORDER BY c.feature, c.charge_date
