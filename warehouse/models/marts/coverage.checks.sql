-- fail: tagged, shared, not AI and unallocated do not add up
SELECT source_name, charge_date, effective_cost_before_credits_usd, tagged_usd, shared_usd, not_ai_usd, unallocated_usd
FROM marts.coverage
WHERE effective_cost_before_credits_usd <> tagged_usd + shared_usd + not_ai_usd + unallocated_usd;

-- warn: less than half of a source's AI dollars of the last 28 days has an owner
SELECT source_name, sum(ai_tagged_usd) AS ai_tagged_usd, sum(ai_unallocated_usd) AS ai_unallocated_usd
FROM marts.coverage
WHERE charge_date > (SELECT max(charge_date) FROM marts.coverage) - 28
GROUP BY source_name
HAVING sum(ai_tagged_usd) < sum(ai_unallocated_usd);
