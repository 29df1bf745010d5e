-- fail: a row of the grain stands twice
SELECT source_name, billing_account_id, provider, billing_currency, charge_date, count(*) AS times
FROM marts.shadow_costs
GROUP BY ALL
HAVING count(*) > 1;

-- fail: a shadow's dollars do not add up to what was loaded
SELECT s.source_name, s.total, c.total AS loaded_total
FROM (SELECT source_name, sum(shadow_effective_cost) AS total FROM marts.shadow_costs GROUP BY ALL) AS s
FULL OUTER JOIN (SELECT source_name, sum(effective_cost) AS total FROM core.shadow_charges GROUP BY ALL) AS c
    ON c.source_name = s.source_name
WHERE s.total IS DISTINCT FROM c.total;
