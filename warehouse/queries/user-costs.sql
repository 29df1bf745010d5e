-- What a user costs per month, feature and plan: the middle, the dearest, and who costs more than they pay.
SELECT
    usage_month,
    feature,
    plan,
    users,
    unknown_cost_users,
    p50_cost_usd::DECIMAL(38, 4) AS p50_usd,
    p95_cost_usd::DECIMAL(38, 4) AS p95_usd,
    p99_cost_usd::DECIMAL(38, 4) AS p99_usd,
    round(100 * top_1_percent_share, 1) AS top_1_percent_of_cost,
    unprofitable_users,
    unprofitable_loss_usd::DECIMAL(38, 2) AS unprofitable_loss_usd,
    basis
FROM marts.user_cost_monthly
WHERE users > 0
ORDER BY usage_month DESC, feature, plan
