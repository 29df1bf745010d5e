-- fail: a feature has two rows for one month
SELECT feature, month, count(*) AS row_count
FROM marts.feature_cost_monthly
GROUP BY feature, month
HAVING count(*) > 1;

-- fail: the months of a feature do not add up to its days
SELECT m.feature, m.effective_cost_usd, d.effective_cost_usd AS daily_effective_cost_usd
FROM (SELECT feature, sum(effective_cost_usd) AS effective_cost_usd FROM marts.feature_cost_monthly GROUP BY feature) AS m
FULL JOIN (SELECT feature, sum(effective_cost_usd) AS effective_cost_usd FROM marts.feature_cost_daily GROUP BY feature) AS d
    ON d.feature = m.feature
WHERE coalesce(m.effective_cost_usd, 0) <> coalesce(d.effective_cost_usd, 0)
  AND NOT EXISTS (
    SELECT 1 FROM marts.feature_cost_daily AS u
    WHERE u.feature = coalesce(m.feature, d.feature) AND u.effective_cost_usd IS NULL
);
