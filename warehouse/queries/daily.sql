-- Cost of each feature on each of the last 14 days.
SELECT
    charge_date,
    feature,
    effective_cost_before_credits_usd::DECIMAL(38, 2) AS cost_usd,
    basis,
    is_settled
FROM marts.feature_cost_daily
WHERE charge_date > (SELECT max(charge_date) FROM marts.feature_cost_daily) - 14
ORDER BY charge_date DESC, cost_usd DESC NULLS LAST, feature
