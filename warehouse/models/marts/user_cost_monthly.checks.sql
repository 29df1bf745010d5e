-- fail: a row of the grain stands twice
SELECT usage_month, feature, plan, count(*) AS row_count
FROM marts.user_cost_monthly
GROUP BY ALL
HAVING count(*) > 1;

-- fail: users, known or not, cost more or less than their feature's calls did (beyond the rounding of shares), once billed
SELECT u.usage_month, u.feature, u.cost_usd, c.cost_usd AS calls_cost_usd
FROM (
    SELECT usage_month, feature, sum(cost_usd + unknown_user_cost_usd) AS cost_usd
    FROM marts.user_cost_monthly
    GROUP BY usage_month, feature
) AS u
JOIN (
    SELECT
        date_trunc('month', usage_date)::DATE AS usage_month,
        feature,
        sum(effective_cost_before_credits_usd) AS cost_usd,
        count(*) = count(effective_cost_before_credits_usd) AND bool_and(is_billed) AS is_known
    FROM marts.unit_economics_daily
    WHERE calls IS NOT NULL
    GROUP BY ALL
) AS c ON c.usage_month = u.usage_month AND c.feature = u.feature
WHERE c.is_known AND abs(u.cost_usd - c.cost_usd) > 0.001 + abs(c.cost_usd) / 1000000;
