-- Charges that look like AI and fit no known kind, in the last $days days up to $through.
SELECT coalesce(sum(effective_cost_usd), 0)::DECIMAL(38, 12) AS unclassified_usd
FROM core.charges
WHERE ai_kind = 'unclassified'
  AND charge_category IS DISTINCT FROM 'Credit'
  AND charge_date BETWEEN $through::DATE - $days + 1 AND $through::DATE
