-- What each feature costs in each calendar month, beside its budget.
--
-- Grain: one row per feature and month (its first day, UTC charge dates).
-- Calendar: every month from the feature's first to the last day with a charge of anyone; zero is zero.
-- Units: US dollars. Unknown is null: a month with a day of unknown cost has no total.
--   The budget is compared with effective_cost_before_credits_usd; budget_used_share is null without a budget.
-- days counts the month's days in the calendar so far, settled_days those that can no longer fill; is_complete
--   says that the whole month is there and settled.
-- Columns:
--   month: first day of the calendar month.
--   monthly_budget_usd: as features.yml states it now.
--   budget_used_share: effective_cost_before_credits_usd ÷ monthly_budget_usd.
--   days: days of the month in the calendar so far.
--   settled_days: of these, days that are final.
--   is_complete: every day of the month is there and final.
WITH monthly AS (
    SELECT
        feature,
        date_trunc('month', charge_date)::DATE AS month,
        CASE WHEN count(*) = count(billed_cost_usd) THEN sum(billed_cost_usd) END AS billed_cost_usd,
        CASE WHEN count(*) = count(effective_cost_usd) THEN sum(effective_cost_usd) END AS effective_cost_usd,
        CASE WHEN count(*) = count(list_cost_usd) THEN sum(list_cost_usd) END AS list_cost_usd,
        CASE WHEN count(*) = count(effective_cost_before_credits_usd) THEN sum(effective_cost_before_credits_usd) END
            AS effective_cost_before_credits_usd,
        bool_or(basis = 'estimated') AS has_estimates,
        count(*) AS days,
        count(*) FILTER (WHERE is_settled) AS settled_days,
        max(charge_date) AS last_charge_date
    FROM marts.feature_cost_daily
    GROUP BY feature, month
)
SELECT
    m.month,
    m.feature,
    m.billed_cost_usd::DECIMAL(38, 12) AS billed_cost_usd,
    m.effective_cost_usd::DECIMAL(38, 12) AS effective_cost_usd,
    m.list_cost_usd::DECIMAL(38, 12) AS list_cost_usd,
    m.effective_cost_before_credits_usd::DECIMAL(38, 12) AS effective_cost_before_credits_usd,
    f.monthly_budget_usd,
    round(m.effective_cost_before_credits_usd / nullif(f.monthly_budget_usd, 0), 6) AS budget_used_share,
    CASE WHEN m.has_estimates THEN 'estimated' ELSE 'reported' END AS basis,
    m.days,
    m.settled_days,
    m.settled_days = m.days AND m.last_charge_date = last_day(m.month) AS is_complete
FROM monthly AS m
LEFT JOIN core.features AS f ON f.feature = m.feature
ORDER BY m.month, m.feature
