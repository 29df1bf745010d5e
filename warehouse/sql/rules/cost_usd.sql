coalesce(sum(effective_cost_usd) FILTER (
    WHERE charge_category IS DISTINCT FROM 'Credit' AND charge_date > {% include "allocate/newest_day.sql" %} - {{ days }}
), 0)::DECIMAL(38, 12)
