-- The charges to be divided, each with what the node cost that day.
CREATE OR REPLACE TEMP TABLE _divided AS
SELECT
    row_number() OVER () AS row_number,
    sum(c.effective_cost) OVER (PARTITION BY c.resource_id, c.charge_date)::DECIMAL(38, 12) AS node_cost,
    c.*
FROM core.charges AS c
WHERE {% include "split_costs/condition.sql" %}
