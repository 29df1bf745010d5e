coalesce(sum(effective_cost_usd) FILTER (
    WHERE charge_category IS DISTINCT FROM 'Credit' AND charge_date > (SELECT max(charge_date) FROM core.charges WHERE source_rows > 0) - {{ days }}
), 0)::DECIMAL(38, 12)
