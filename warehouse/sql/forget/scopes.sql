SELECT DISTINCT scope FROM ops.deliveries WHERE is_current AND replaces = 'scope' AND source_name = ? ORDER BY scope LIMIT 20
