-- The newest days on which the rules move a feature's cost: what it has under the new ones and not under the old.
SELECT
    feature,
    charge_date,
    (coalesce(n.cost_usd, 0) - coalesce(o.cost_usd, 0))::DECIMAL(38, 12) AS delta_effective_cost_before_credits_usd
FROM {{ old | name }} AS o
FULL OUTER JOIN {{ new | name }} AS n USING (feature, charge_date)
WHERE coalesce(o.cost_usd, 0) <> coalesce(n.cost_usd, 0)
    AND charge_date > (SELECT max(charge_date) FROM {{ new | name }}) - CAST($1 AS INTEGER)
ORDER BY charge_date, feature
