-- fail: used and left do not make what was granted
SELECT commitment, granted_usd, used_usd, left_usd
FROM marts.commitments
WHERE granted_usd <> used_usd + left_usd OR left_usd < 0;

-- fail: a commitment is missing or stands twice
SELECT commitment, count(*) AS times
FROM (SELECT commitment FROM core.commitments UNION ALL SELECT commitment FROM marts.commitments)
GROUP BY commitment
HAVING count(*) <> 2;

-- warn: prepaid or committed dollars run out within two weeks
SELECT commitment, left_usd, days_left, runs_out_on
FROM marts.commitments
WHERE days_left < 14 AND runs_out_on IS NOT NULL;
