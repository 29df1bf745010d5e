-- fail: a row of the grain stands twice
SELECT usage_date, feature, waste_kind, count(*) AS row_count
FROM marts.waste_daily
GROUP BY ALL
HAVING count(*) > 1;

-- fail: more was wasted than a feature cost (beyond the rounding of shares)
SELECT usage_date, feature, sum(waste_usd) AS waste_usd, any_value(feature_cost_usd) AS feature_cost_usd
FROM marts.waste_daily
GROUP BY usage_date, feature
HAVING sum(waste_usd) > any_value(feature_cost_usd) + 0.000001 AND any_value(feature_cost_usd) >= 0;
