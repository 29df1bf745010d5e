SELECT * FROM marts.freshness ORDER BY source_name
