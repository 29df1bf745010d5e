-- fail: a row of the grain stands twice
SELECT usage_date, feature, model, gpu_type, count(*) AS row_count
FROM marts.gpu_economics_daily
GROUP BY ALL
HAVING count(*) > 1;

-- fail: idle and busy dollars are not the cost, or one of them is negative where the cost is not
SELECT usage_date, feature, model, gpu_type, cost_usd, idle_cost_usd, busy_cost_usd
FROM marts.gpu_economics_daily
WHERE idle_cost_usd + busy_cost_usd <> cost_usd OR (cost_usd > 0 AND least(idle_cost_usd, busy_cost_usd) < 0);

-- warn: calls tell more GPU time than was paid
SELECT u.usage_date, u.feature, u.gpu_seconds / 3600 AS told_hours, g.gpu_hours AS paid_hours
FROM (SELECT usage_date, feature, sum(gpu_seconds) AS gpu_seconds FROM core.usage GROUP BY usage_date, feature) AS u
JOIN (
    SELECT usage_date, feature, sum(gpu_hours) AS gpu_hours FROM marts.gpu_economics_daily GROUP BY usage_date, feature
) AS g ON g.usage_date = u.usage_date AND g.feature = u.feature
WHERE u.gpu_seconds / 3600 > 1.05 * g.gpu_hours;
