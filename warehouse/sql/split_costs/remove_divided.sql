DELETE FROM core.charges AS c
WHERE {% include "split_costs/condition.sql" %}
