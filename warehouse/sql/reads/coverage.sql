-- Who owns the dollars of the last $days days up to $through, in all and for AI charges.
SELECT
    source_name,
    sum(effective_cost_before_credits_usd)::DECIMAL(38, 12) AS effective_cost_before_credits_usd,
    sum(tagged_usd)::DECIMAL(38, 12) AS tagged_usd,
    sum(shared_usd)::DECIMAL(38, 12) AS shared_usd,
    sum(not_ai_usd)::DECIMAL(38, 12) AS not_ai_usd,
    sum(unallocated_usd)::DECIMAL(38, 12) AS unallocated_usd,
    sum(ai_tagged_usd)::DECIMAL(38, 12) AS ai_tagged_usd,
    sum(ai_unallocated_usd)::DECIMAL(38, 12) AS ai_unallocated_usd
FROM marts.coverage
WHERE charge_date BETWEEN $through::DATE - $days + 1 AND $through::DATE
GROUP BY source_name
ORDER BY source_name
