-- What a user costs in a month, per feature and plan: the middle one, the dear ones, and those who cost more than they pay.
--
-- Grain: one row per usage_month, feature and plan; plan is null where the calls name none.
-- Calendar: months with a call only; users is 0 where none of the calls names one.
-- Units: US dollars, effective cost before credits: each call's part of billed_or_estimated_cost_usd of its row of
--   marts.unit_economics_daily.
--   Idle GPU hours and charges without traffic are nobody's. Percentiles are those of actual users (no interpolation).
--   Where what one of the users cost is not known, no figure of them all is: sums, percentiles and shares are null.
-- Why a filter: calls without a user are in unknown_user_cost_usd, in no percentile. A user who changes plan counts in
--   each. Users are keyed hashes and are not published: a row has numbers of users only.
-- Columns:
--   usage_month: first UTC day of the month.
--   users: different users with a call.
--   unknown_cost_users: of these, users with a call whose dollars are not known: a charge without US dollars, or neither bill
--     nor price.
--   cost_usd: of all of them.
--   p50_cost_usd: half of the users cost no more.
--   top_1_percent_share: share of the cost that the dearest hundredth of users (at least one) causes, 6 decimals; null where
--     refunds leave none.
--   revenue_per_user_usd: as in features.yml; null where it is not known.
--   unprofitable_users: users who cost more than that; null where it is not known.
--   unprofitable_loss_usd: what they cost more than they pay.
--   unknown_user_cost_usd: of calls that name no user; null where what one of them cost is not known.
--   basis: 'estimated' where some of the calls have no bill.
--   is_settled: the month is over and its cost final.
WITH costs AS (
    SELECT
        usage_date,
        feature,
        provider,
        model,
        task_type,
        billed_or_estimated_cost_usd AS row_cost_usd,
        basis IS DISTINCT FROM 'reported' AS is_estimated,
        is_settled
    FROM marts.unit_economics_daily
    WHERE calls IS NOT NULL
),
rows_of_usage AS (
    SELECT
        r.usage_id,
        date_trunc('month', r.usage_date)::DATE AS usage_month,
        r.feature,
        c.row_cost_usd,
        c.is_estimated,
        c.is_settled,
        d.is_priced,
        d.estimated_cost_usd,
        d.weighted_tokens,
        d.calls
    FROM usage_rows AS r
    JOIN (
        SELECT
            usage_id,
            sum(priced_calls) = sum(calls) AS is_priced,
            sum(estimated_cost_usd)::DOUBLE AS estimated_cost_usd,
            sum(weighted_tokens)::DOUBLE AS weighted_tokens,
            sum(calls) AS calls
        FROM user_days
        GROUP BY usage_id
    ) AS d USING (usage_id)
    JOIN costs AS c
        ON c.usage_date = r.usage_date
        AND c.feature = r.feature
        AND c.provider IS NOT DISTINCT FROM r.provider
        AND c.model IS NOT DISTINCT FROM r.model
        AND c.task_type IS NOT DISTINCT FROM r.task_type
),
weighed AS (
    SELECT
        r.usage_month,
        r.feature,
        r.row_cost_usd,
        r.is_estimated,
        r.is_settled,
        d.plan,
        d.user_id,
        CASE
            WHEN r.is_priced AND r.estimated_cost_usd > 0 THEN d.estimated_cost_usd::DOUBLE / r.estimated_cost_usd
            WHEN r.weighted_tokens > 0 THEN d.weighted_tokens::DOUBLE / r.weighted_tokens
            ELSE d.calls / r.calls
        END::DECIMAL(13, 12) AS share
    FROM user_days AS d
    JOIN rows_of_usage AS r USING (usage_id)
),
users AS (
    SELECT
        usage_month,
        feature,
        plan,
        user_id,
        CASE WHEN count(*) = count(row_cost_usd) THEN sum((row_cost_usd * share)::DECIMAL(38, 12)) END AS cost_usd,
        bool_or(is_estimated) AS is_estimated,
        bool_and(is_settled) AS is_settled
    FROM weighed
    GROUP BY ALL
),
newest AS (
    SELECT max(usage_date) AS usage_date FROM costs WHERE is_settled
),
people AS (
    SELECT
        u.* EXCLUDE (cost_usd),
        CASE WHEN u.user_id IS NOT NULL THEN u.cost_usd END AS cost_usd,
        CASE WHEN u.user_id IS NULL THEN u.cost_usd ELSE 0 END AS nobodys_cost_usd,
        f.revenue_per_user_usd
    FROM users AS u
    LEFT JOIN core.features AS f ON f.feature = u.feature
),
plans AS (
    SELECT
        p.usage_month,
        p.feature,
        p.plan,
        count(p.user_id) AS users,
        count(p.user_id) - count(p.cost_usd) AS unknown_cost_users,
        coalesce(sum(p.cost_usd), 0) AS cost_usd,
        quantile_disc(p.cost_usd, 0.50) AS p50_cost_usd,
        quantile_disc(p.cost_usd, 0.95) AS p95_cost_usd,
        quantile_disc(p.cost_usd, 0.99) AS p99_cost_usd,
        max(p.cost_usd) AS most_cost_usd,
        list_sum(
            list_slice(
                list_reverse_sort(list(p.cost_usd) FILTER (WHERE p.cost_usd IS NOT NULL)),
                1,
                ceil(count(p.user_id) / 100)::BIGINT
            )
        ) AS dearest_cost_usd,
        any_value(p.revenue_per_user_usd) AS revenue_per_user_usd,
        count(*) FILTER (WHERE p.cost_usd > p.revenue_per_user_usd) AS unprofitable_users,
        coalesce(sum(p.cost_usd - p.revenue_per_user_usd) FILTER (WHERE p.cost_usd > p.revenue_per_user_usd), 0)
            AS unprofitable_loss_usd,
        CASE WHEN count(*) = count(p.nobodys_cost_usd) THEN sum(p.nobodys_cost_usd) END AS unknown_user_cost_usd,
        bool_or(p.is_estimated) AS is_estimated,
        bool_and(p.is_settled) AS is_settled
    FROM people AS p
    GROUP BY p.usage_month, p.feature, p.plan
)
SELECT
    p.usage_month,
    p.feature,
    p.plan,
    p.users,
    p.unknown_cost_users,
    CASE WHEN p.unknown_cost_users = 0 THEN p.cost_usd END::DECIMAL(38, 12) AS cost_usd,
    CASE WHEN p.unknown_cost_users = 0 THEN p.p50_cost_usd END::DECIMAL(38, 12) AS p50_cost_usd,
    CASE WHEN p.unknown_cost_users = 0 THEN p.p95_cost_usd END::DECIMAL(38, 12) AS p95_cost_usd,
    CASE WHEN p.unknown_cost_users = 0 THEN p.p99_cost_usd END::DECIMAL(38, 12) AS p99_cost_usd,
    CASE WHEN p.unknown_cost_users = 0 THEN p.most_cost_usd END::DECIMAL(38, 12) AS most_cost_usd,
    CASE WHEN p.unknown_cost_users = 0 AND p.cost_usd > 0 THEN least(1, p.dearest_cost_usd / p.cost_usd) END::DECIMAL(9, 6)
        AS top_1_percent_share,
    p.revenue_per_user_usd,
    CASE WHEN p.unknown_cost_users = 0 AND p.revenue_per_user_usd IS NOT NULL THEN p.unprofitable_users END
        AS unprofitable_users,
    CASE WHEN p.unknown_cost_users = 0 AND p.revenue_per_user_usd IS NOT NULL THEN p.unprofitable_loss_usd END
        ::DECIMAL(38, 12) AS unprofitable_loss_usd,
    p.unknown_user_cost_usd::DECIMAL(38, 12) AS unknown_user_cost_usd,
    CASE WHEN p.is_estimated THEN 'estimated' ELSE 'reported' END AS basis,
    p.is_settled AND last_day(p.usage_month) <= e.usage_date AS is_settled
FROM plans AS p
CROSS JOIN newest AS e
ORDER BY p.usage_month, p.feature, p.plan
