-- How much of each source's AI dollars has an owner, week by week; what is not AI stands apart.
SELECT
    date_trunc('week', charge_date)::DATE AS week,
    source_name,
    sum(effective_cost_before_credits_usd)::DECIMAL(38, 2) AS cost_usd,
    sum(tagged_usd)::DECIMAL(38, 2) AS tagged_usd,
    sum(shared_usd)::DECIMAL(38, 2) AS shared_usd,
    sum(not_ai_usd)::DECIMAL(38, 2) AS not_ai_usd,
    sum(unallocated_usd)::DECIMAL(38, 2) AS unallocated_usd,
    CASE WHEN sum(tagged_usd) + sum(unallocated_usd) > 0
        THEN round(100 * sum(tagged_usd) / (sum(tagged_usd) + sum(unallocated_usd)), 1)
    END AS tagged_percent
FROM marts.coverage
GROUP BY ALL
ORDER BY week DESC, source_name
LIMIT 60
