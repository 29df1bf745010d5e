-- fail: old and difference do not make new
SELECT source_name, charge_date, old_effective_cost, new_effective_cost, delta_effective_cost, delta_billed_cost
FROM marts.restatements
WHERE coalesce(new_effective_cost, 0) - coalesce(old_effective_cost, 0) <> delta_effective_cost
    OR new_billed_cost - old_billed_cost <> delta_billed_cost;
