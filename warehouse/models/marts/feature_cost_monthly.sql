-- What each feature costs in each calendar month, beside its budget: the books.
--
-- Grain: one row per feature and month (its first day, UTC charge dates).
-- Calendar: every month from the feature's first to the last day with a charge of anyone; zero is zero.
-- Units: US dollars. Unknown is null: a month with a day of unknown cost has no total.
--   The budget is compared with effective_cost_before_credits_usd without corrections; budget_used_share is null without
--   a budget.
-- Closed months (`trendbreak close`) keep the figures that they were closed with. What changes of them later is part of
--   the month that was open then, also in the correction_ columns by itself; the months still add up to the days.
-- days counts the month's days in the calendar so far, settled_days those that can no longer fill; is_complete
--   says that the whole month is there and settled.
-- Columns:
--   month: first day of the calendar month.
--   correction_effective_cost_before_credits_usd: of effective_cost_before_credits_usd, what belongs to closed months.
--   monthly_budget_usd: as features.yml states it now.
--   budget_used_share: this month's own effective_cost_before_credits_usd ÷ monthly_budget_usd.
--   days: days of the month in the calendar so far.
--   settled_days: of these, days that are final.
--   is_complete: every day of the month is there and final.
--   is_closed: the month's own figures no longer change.
WITH live AS (
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
),
frozen AS (
    SELECT
        feature,
        month,
        sum(billed_cost_usd) AS billed_cost_usd,
        sum(effective_cost_usd) AS effective_cost_usd,
        sum(list_cost_usd) AS list_cost_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE is_credit = 0), 0) AS effective_cost_before_credits_usd
    FROM core.closed_costs
    GROUP BY feature, month
),
corrections AS (
    SELECT
        feature,
        booked_month AS month,
        sum(billed_cost_usd) AS billed_cost_usd,
        sum(effective_cost_usd) AS effective_cost_usd,
        sum(list_cost_usd) AS list_cost_usd,
        coalesce(sum(effective_cost_usd) FILTER (WHERE is_credit = 0), 0) AS effective_cost_before_credits_usd
    FROM core.corrections
    GROUP BY feature, booked_month
),
months AS (
    SELECT feature, month FROM live
    UNION
    SELECT feature, month FROM frozen
    UNION
    SELECT feature, month FROM corrections
),
monthly AS (
    SELECT
        k.feature,
        k.month,
        c.month IS NOT NULL AS is_closed,
        -- A closed month is zero for a feature that it did not have; an amount that is unknown stays so.
        CASE
            WHEN c.month IS NULL THEN CASE WHEN l.feature IS NULL THEN 0 ELSE l.billed_cost_usd END
            WHEN l.feature IS NULL OR l.billed_cost_usd IS NOT NULL THEN coalesce(f.billed_cost_usd, 0)
        END AS billed_cost_usd,
        CASE
            WHEN c.month IS NULL THEN CASE WHEN l.feature IS NULL THEN 0 ELSE l.effective_cost_usd END
            WHEN l.feature IS NULL OR l.effective_cost_usd IS NOT NULL THEN coalesce(f.effective_cost_usd, 0)
        END AS effective_cost_usd,
        CASE
            WHEN c.month IS NULL THEN CASE WHEN l.feature IS NULL THEN 0 ELSE l.list_cost_usd END
            WHEN l.feature IS NULL OR l.list_cost_usd IS NOT NULL THEN coalesce(f.list_cost_usd, 0)
        END AS list_cost_usd,
        CASE
            WHEN c.month IS NULL THEN CASE WHEN l.feature IS NULL THEN 0 ELSE l.effective_cost_before_credits_usd END
            WHEN l.feature IS NULL OR l.effective_cost_before_credits_usd IS NOT NULL
                THEN coalesce(f.effective_cost_before_credits_usd, 0)
        END AS effective_cost_before_credits_usd,
        coalesce(l.has_estimates, FALSE) AS has_estimates,
        coalesce(l.days, CASE WHEN c.month IS NOT NULL THEN day(last_day(k.month)) ELSE 0 END) AS days,
        coalesce(l.settled_days, CASE WHEN c.month IS NOT NULL THEN day(last_day(k.month)) ELSE 0 END) AS settled_days,
        l.last_charge_date
    FROM months AS k
    LEFT JOIN core.closed_months AS c ON c.month = k.month
    LEFT JOIN live AS l ON l.feature = k.feature AND l.month = k.month
    LEFT JOIN frozen AS f ON f.feature = k.feature AND f.month = k.month
)
SELECT
    m.month,
    m.feature,
    (m.billed_cost_usd + coalesce(c.billed_cost_usd, 0))::DECIMAL(38, 12) AS billed_cost_usd,
    (m.effective_cost_usd + coalesce(c.effective_cost_usd, 0))::DECIMAL(38, 12) AS effective_cost_usd,
    (m.list_cost_usd + coalesce(c.list_cost_usd, 0))::DECIMAL(38, 12) AS list_cost_usd,
    (m.effective_cost_before_credits_usd + coalesce(c.effective_cost_before_credits_usd, 0))::DECIMAL(38, 12)
        AS effective_cost_before_credits_usd,
    coalesce(c.effective_cost_before_credits_usd, 0)::DECIMAL(38, 12) AS correction_effective_cost_before_credits_usd,
    f.monthly_budget_usd,
    round(m.effective_cost_before_credits_usd / nullif(f.monthly_budget_usd, 0), 6) AS budget_used_share,
    CASE WHEN m.has_estimates THEN 'estimated' ELSE 'reported' END AS basis,
    m.days,
    m.settled_days,
    m.is_closed OR coalesce(m.settled_days = m.days AND m.last_charge_date = last_day(m.month), FALSE) AS is_complete,
    m.is_closed
FROM monthly AS m
LEFT JOIN corrections AS c ON c.feature = m.feature AND c.month = m.month
LEFT JOIN core.features AS f ON f.feature = m.feature
ORDER BY m.month, m.feature
