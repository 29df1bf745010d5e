-- Months in which the rules move a feature's cost on any day; a feature without a charge costs nothing.
SELECT
    feature,
    date_trunc('month', charge_date)::DATE AS month,
    sum(coalesce(o.cost_usd, 0))::DECIMAL(38, 12) AS old_effective_cost_before_credits_usd,
    sum(coalesce(n.cost_usd, 0))::DECIMAL(38, 12) AS new_effective_cost_before_credits_usd,
    min(charge_date) FILTER (WHERE coalesce(o.cost_usd, 0) <> coalesce(n.cost_usd, 0)) AS first_charge_date,
    max(charge_date) FILTER (WHERE coalesce(o.cost_usd, 0) <> coalesce(n.cost_usd, 0)) AS last_charge_date
FROM {{ old | name }} AS o
FULL OUTER JOIN {{ new | name }} AS n USING (feature, charge_date)
GROUP BY feature, month
HAVING count(*) FILTER (WHERE coalesce(o.cost_usd, 0) <> coalesce(n.cost_usd, 0)) > 0
ORDER BY month, feature
