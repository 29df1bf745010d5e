-- The charges to be divided, each with what the node cost that day.
CREATE OR REPLACE TEMP TABLE _divided AS
SELECT
    row_number() OVER () AS row_number,
    sum(a.effective_cost) OVER (PARTITION BY a.resource_id, a.charge_date)::DECIMAL(38, 12) AS node_cost,
    d.billing_currency,
    a.*
FROM core.charge_amounts AS a
JOIN core.charge_dimensions AS d ON d.charge_group = a.charge_group
WHERE d.delivery_id = $delivery_id
    AND d.ai_kind = 'gpu'
    AND d.charge_category = 'Usage'
    AND a.effective_cost > 0
    AND EXISTS (SELECT 1 FROM _splits AS s WHERE s.resource_id = a.resource_id AND s.charge_date = a.charge_date)
