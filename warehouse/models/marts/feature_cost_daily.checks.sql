-- fail: a feature has two rows for one day
SELECT feature, charge_date, count(*) AS row_count
FROM marts.feature_cost_daily
GROUP BY feature, charge_date
HAVING count(*) > 1;

-- fail: a feature's calendar has a gap
SELECT feature, min(charge_date) AS first_day, max(charge_date) AS last_day, count(*) AS row_count
FROM marts.feature_cost_daily
GROUP BY feature
HAVING count(*) <> date_diff('day', min(charge_date), max(charge_date)) + 1;

-- fail: the total of a day differs from the allocations
SELECT m.charge_date, m.effective_cost_usd, a.effective_cost_usd AS allocated_effective_cost_usd
FROM (
    SELECT charge_date, sum(effective_cost_usd) AS effective_cost_usd, bool_or(effective_cost_usd IS NULL) AS is_unknown
    FROM marts.feature_cost_daily GROUP BY charge_date
) AS m
LEFT JOIN (SELECT charge_date, sum(effective_cost_usd) AS effective_cost_usd FROM core.allocations GROUP BY charge_date) AS a
    ON a.charge_date = m.charge_date
WHERE NOT m.is_unknown AND m.effective_cost_usd <> coalesce(a.effective_cost_usd, 0);

-- warn: charges have no amount in US dollars
SELECT feature, count(*) AS days
FROM marts.feature_cost_daily
WHERE effective_cost_usd IS NULL
GROUP BY feature;
