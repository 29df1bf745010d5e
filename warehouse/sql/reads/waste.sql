-- Dollars that bought nothing, per feature and kind, in the last $days days up to $through, the largest first; of days
-- whose dollars are known.
SELECT
    feature,
    waste_kind,
    sum(waste_usd)::DECIMAL(38, 12) AS waste_usd,
    sum(affected_calls)::BIGINT AS affected_calls
FROM marts.waste_daily
WHERE usage_date BETWEEN $through::DATE - $days + 1 AND $through::DATE
  AND waste_usd IS NOT NULL
GROUP BY feature, waste_kind
ORDER BY waste_usd DESC, feature, waste_kind
