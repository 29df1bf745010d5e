INSERT INTO marts.cost_drivers BY NAME SELECT * FROM _drivers ORDER BY ALL
