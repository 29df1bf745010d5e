-- What a feature's self-hosted models cost in the $days days up to $last_day but those of $left_out, idle hours included;
-- null where a day's dollars are not known, no row where it has none.
SELECT CASE WHEN count(*) = count(cost_usd) THEN sum(cost_usd) END::DECIMAL(38, 12) AS cost_usd
FROM marts.gpu_economics_daily
WHERE feature = $feature AND usage_date > $last_day::DATE - $days::INTEGER AND usage_date <= $last_day
  AND NOT list_contains($left_out::DATE[], usage_date)
HAVING count(*) > 0
