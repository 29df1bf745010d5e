-- Dollars that bought nothing in the last 30 settled days, by feature and kind.
WITH newest AS (
    SELECT max(data_through) AS usage_date FROM ops.reported
)
SELECT
    w.feature,
    w.waste_kind,
    sum(w.waste_usd)::DECIMAL(38, 2) AS waste_usd,
    sum(w.affected_calls)::BIGINT AS affected_calls,
    count(*) AS days,
    count(*) - count(w.waste_usd) AS unknown_days
FROM marts.waste_daily AS w
CROSS JOIN newest AS n
WHERE w.usage_date BETWEEN n.usage_date - 29 AND n.usage_date
GROUP BY w.feature, w.waste_kind
ORDER BY waste_usd DESC NULLS LAST, w.feature, w.waste_kind
