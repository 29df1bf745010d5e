SELECT max(charge_date) FILTER (WHERE is_settled) FROM marts.feature_cost_daily WHERE feature = ?
