-- Each scope that speaks, and one window over all windows.
SELECT scope, 'scope', min(window_start), max(window_end), arg_max(delivery_id, load_number)
FROM ops.deliveries
WHERE is_current AND replaces = 'scope' AND source_name = ?1
GROUP BY scope
UNION ALL
SELECT '', 'window', min(window_start), max(window_end), arg_max(delivery_id, load_number)
FROM ops.deliveries
WHERE replaces = 'window' AND source_name = ?1
HAVING count(*) > 0
ORDER BY ALL
