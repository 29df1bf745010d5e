-- fail: a member of a feature has two rows for one day
SELECT feature, charge_date, dimension, member, count(*) AS row_count
FROM marts.feature_member_daily
GROUP BY feature, charge_date, dimension, member
HAVING count(*) > 1;

-- fail: the providers of a feature do not add up to its cost of the day
SELECT c.feature, c.charge_date, c.effective_cost_before_credits_usd, m.effective_cost_before_credits_usd AS member_cost_usd
FROM marts.feature_cost_daily AS c
JOIN (
    SELECT feature, charge_date, sum(effective_cost_before_credits_usd) AS effective_cost_before_credits_usd
    FROM marts.feature_member_daily WHERE dimension = 'provider' GROUP BY feature, charge_date
) AS m ON m.feature = c.feature AND m.charge_date = c.charge_date
WHERE c.effective_cost_before_credits_usd <> m.effective_cost_before_credits_usd
  AND NOT EXISTS (
    SELECT 1 FROM core.allocations AS a
    WHERE a.feature = c.feature AND a.charge_date = c.charge_date AND a.provider IS NULL
);
