-- fail: a change is booked in the month that it changes
SELECT closed_month, booked_month, feature
FROM marts.corrections
WHERE closed_month = booked_month;

-- warn: closed months changed by more than a hundredth
SELECT m.month, c.effective_cost_usd, m.closed_effective_cost_usd
FROM (SELECT month, sum(effective_cost_usd) AS closed_effective_cost_usd FROM core.closed_costs GROUP BY month) AS m
JOIN (SELECT closed_month, sum(effective_cost_usd) AS effective_cost_usd FROM marts.corrections GROUP BY ALL) AS c
    ON c.closed_month = m.month
WHERE abs(c.effective_cost_usd) * 100 > abs(m.closed_effective_cost_usd);
