-- What each feature costs on each day as allocated now: dollars before credits.
CREATE OR REPLACE TEMP TABLE {{ table | name }} AS
SELECT feature, charge_date, sum(effective_cost_usd)::DECIMAL(38, 12) AS cost_usd
FROM core.allocations
WHERE effective_cost_usd IS NOT NULL AND charge_category IS DISTINCT FROM 'Credit'
GROUP BY feature, charge_date
