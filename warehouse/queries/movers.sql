-- Which features' last 30 days cost more or less than the 30 before, and the model, key, resource or SKU that moved most.
WITH newest AS (
    SELECT data_through AS charge_date FROM ops.reported
),
features AS (
    SELECT
        c.feature,
        sum(c.effective_cost_before_credits_usd) FILTER (WHERE c.charge_date > n.charge_date - 30) AS cost_usd,
        sum(c.effective_cost_before_credits_usd) FILTER (WHERE c.charge_date <= n.charge_date - 30) AS previous_cost_usd
    FROM marts.feature_cost_daily AS c
    CROSS JOIN newest AS n
    WHERE c.charge_date BETWEEN n.charge_date - 59 AND n.charge_date AND NOT starts_with(c.feature, 'shared: ')
    GROUP BY c.feature
),
members AS (
    SELECT
        m.feature,
        m.dimension,
        m.member,
        sum(CASE WHEN m.charge_date > n.charge_date - 30 THEN 1 ELSE -1 END * m.effective_cost_before_credits_usd) AS change_usd
    FROM marts.feature_member_daily AS m
    CROSS JOIN newest AS n
    WHERE m.charge_date BETWEEN n.charge_date - 59 AND n.charge_date
      AND m.dimension IN ('model', 'api_key_id', 'resource_id', 'sku_meter')
    GROUP BY ALL
),
largest AS (
    SELECT feature, dimension, member, change_usd
    FROM members
    QUALIFY row_number() OVER (PARTITION BY feature ORDER BY abs(change_usd) DESC, dimension, member) = 1
)
SELECT
    f.feature,
    coalesce(f.cost_usd, 0)::DECIMAL(38, 2) AS last_30_days_usd,
    coalesce(f.previous_cost_usd, 0)::DECIMAL(38, 2) AS previous_30_days_usd,
    (coalesce(f.cost_usd, 0) - coalesce(f.previous_cost_usd, 0))::DECIMAL(38, 2) AS change_usd,
    CASE WHEN f.previous_cost_usd > 0 THEN round(100 * (f.cost_usd / f.previous_cost_usd - 1), 1) END AS change_percent,
    l.dimension AS moved_most,
    l.member,
    l.change_usd::DECIMAL(38, 2) AS member_change_usd
FROM features AS f
LEFT JOIN largest AS l ON l.feature = f.feature
ORDER BY abs(coalesce(f.cost_usd, 0) - coalesce(f.previous_cost_usd, 0)) DESC, f.feature
