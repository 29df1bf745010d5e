-- What came to features and to nobody, all sources together, per day.
SELECT
    charge_date,
    sum(ai_tagged_usd)::DECIMAL(38, 12) AS ai_tagged_usd,
    sum(ai_unallocated_usd)::DECIMAL(38, 12) AS ai_unallocated_usd,
    sum(unallocated_by_split_usd)::DECIMAL(38, 12) AS unallocated_by_split_usd
FROM marts.coverage
WHERE charge_date > (SELECT max(charge_date) FROM marts.coverage) - {{ days }}::INTEGER
GROUP BY charge_date
ORDER BY charge_date
