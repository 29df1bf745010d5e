SELECT * FROM marts.feature_cost_monthly ORDER BY month, feature
