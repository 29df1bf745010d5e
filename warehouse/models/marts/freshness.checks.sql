-- fail: a source has two rows
SELECT source_name, count(*) AS row_count
FROM marts.freshness
GROUP BY source_name
HAVING count(*) > 1;

-- warn: a source is more than three days behind the others
SELECT source_name, last_charge_date, days_behind
FROM marts.freshness
WHERE days_behind > 3;
